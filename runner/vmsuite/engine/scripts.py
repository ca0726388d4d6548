"""Script cases: one executable on the host, as Starry's suites write them."""

from __future__ import annotations

from vmsuite import processes
from vmsuite.engine.context import write_log
from vmsuite.engine.state import AttemptState
from vmsuite.errors import CheckFailed
from vmsuite.model import ScriptSpec

EVIDENCE_LINES = 20


async def run_script(state: AttemptState, script: ScriptSpec) -> None:
    """Run the case's executable in the workspace; its output is the case's log.

    The case's time limit ends its whole process group.

    Raises:
        CheckFailed: it ended with anything but 0.
        PlatformError: it cannot be started.

    """
    info = state.info
    lines = processes.Lines(lambda line: write_log(state, line))
    output = processes.Tail(lines)
    async with processes.start(
        [info.workspace / script.path, *script.args],
        env=info.environment,
        cwd=info.workspace,
        stdout=output,
        stderr=output,
        name=script.path,
    ) as child:
        ended = await child.wait()
    output.close()
    if not ended.ok:
        raise CheckFailed(
            f"{script.path} ended with {ended}",
            evidence=output.lines(EVIDENCE_LINES),
            exit_code=ended.code,
        )
