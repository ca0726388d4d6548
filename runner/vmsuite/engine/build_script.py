"""The script a suite runs once before its cases."""

from __future__ import annotations

from pathlib import Path

from vmsuite import processes
from vmsuite.engine.limits import Tripwire, limit
from vmsuite.engine.requirements import arch_of
from vmsuite.engine.services import Services
from vmsuite.engine.stop import Stop
from vmsuite.errors import PlatformError
from vmsuite.events import LogLine
from vmsuite.model import Suite

BUILD_SECONDS = 3600.0


async def run_build_script(
    services: Services, suite: Suite, folder: Path, stop: Stop
) -> None:
    """Run a suite's build script with the name of the suite's folder as argument.

    Raises:
        PlatformError: it failed; no case of the suite can run.
        OutOfTime: it ran for longer than an hour (stretched by the time factor).

    """
    if suite.build_script is None:
        return
    key = f"{folder.parent.name}/"

    def say(line: str) -> None:
        text = services.masker.mask(line)
        services.emit(LogLine(case=key, text=text, source="build"))

    output = processes.Tail(processes.Lines(say))
    environment = {
        **services.environment,
        "STARRY_WORKSPACE_ROOT": str(services.workspace),
        "STARRY_RUN_ID": services.run_id,
        "STARRY_RUN_DIR": str(folder),
        "ARCH": arch_of(suite.arch),
    }
    tripwire = Tripwire()
    seconds = BUILD_SECONDS * services.budgets.factor
    with stop.covers(tripwire):
        async with (
            tripwire.guard(),
            limit(seconds, f"build script {suite.build_script}"),
            processes.start(
                [services.workspace / suite.build_script, suite.path.parent.name],
                env=environment,
                cwd=services.workspace,
                stdout=output,
                stderr=output,
                name=suite.build_script,
            ) as child,
        ):
            ended = await child.wait()
    output.close()
    if not ended.ok:
        raise PlatformError(
            f"build script {suite.build_script} ended with {ended}",
            evidence=output.lines(),
        )
