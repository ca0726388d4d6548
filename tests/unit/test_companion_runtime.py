"""Companions run beside a case, fail it when they fail, and end with it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from vmsuite.engine.companions import Companions
from vmsuite.errors import (
    CheckFailed,
    InvalidSuite,
    NotReady,
    OutOfTime,
    PlatformError,
    Skipped,
    VmsuiteError,
)
from vmsuite.model import NOWHERE, CompanionSpec, Location, Ready
from vmsuite.ports import CaseInfo
from vmsuite.processes import find_owned

HERE = Location(file="suite.yaml", line=3, column=5)
TOKEN = f"companions-{os.getpid()}"


class Case:
    """A case with nothing but companions: what they said, and what became of them."""

    def __init__(self, folder: Path, *, factor: float = 1.0) -> None:
        self.folder = folder
        self.factor = factor
        self.environment = {"VMSUITE_OWNER": TOKEN, "STARRY_CASE_NAME": "a case"}
        self.machines: Mapping[str, str] = {}
        self.lines: list[tuple[str, str]] = []
        self.failures: list[Exception] = []
        self.news = asyncio.Event()
        self.companions: Companions

    def program(self, name: str, script: str) -> str:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return f"./{name}"

    async def start(
        self, script: str, *, wait: bool = False, name: str = "it", **fields: Any
    ) -> Any:
        program = self.program(name, script)
        spec = CompanionSpec(location=HERE, program=program, name=name, **fields)
        return await self.companions.start(spec, wait=wait)

    def log(self, text: str, *, source: str = "") -> None:
        self.lines.append((source, text))
        self.news.set()

    def fail(self, error: Exception) -> None:
        self.failures.append(error)
        self.news.set()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                self.news.clear()
                await self.news.wait()

    async def hears(self, text: str, source: str = "it") -> None:
        await self.until(lambda: (source, text) in self.lines)

    async def failure(self) -> VmsuiteError:
        await self.until(lambda: self.failures)
        error = self.failures[0]
        assert isinstance(error, VmsuiteError)
        return error


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@asynccontextmanager
async def a_case(folder: Path, **options: Any) -> AsyncIterator[Case]:
    case = Case(folder, **options)
    info = CaseInfo(
        suite="suite",
        name="a case",
        slug="a-case",
        suite_dir=folder,
        workspace=folder,
        run_id="run",
        run_dir=folder,
        log_path=folder / "case.log",
        artifact_dir=folder,
        timeout=60,
        timeout_factor=case.factor,
        environment=case.environment,
    )
    try:
        async with Companions(
            info,
            cache_dir=folder / "cache",
            log=case.log,
            on_failure=case.fail,
            machines=lambda: case.machines,
        ) as companions:
            case.companions = companions
            yield case
    finally:
        assert find_owned(TOKEN) == [], "a companion outlived its case"


def run(folder: Path, body: Callable[[Case], Any], **options: Any) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(60), a_case(folder, **options) as case:
            return await body(case)

    return asyncio.run(main())


# --- tasks ------------------------------------------------------------------------


def test_a_task_runs_beside_the_steps_and_is_awaited_in_the_end(folder: Path) -> None:
    async def body(case: Case) -> None:
        await case.start("sleep 0.2; echo done; exit 0")
        assert ("it", "done") not in case.lines
        await case.companions.finish()
        assert ("it", "done") in case.lines
        assert case.failures == []

    run(folder, body)


def test_its_delay_passes_beside_the_steps(folder: Path) -> None:
    async def body(case: Case) -> None:
        begun = time.monotonic()
        await case.start("echo done", delay=0.3)
        assert case.lines == [], "it started before the step returned"
        await case.companions.finish()
        assert time.monotonic() - begun > 0.3
        assert ("it", "done") in case.lines

    run(folder, body)


def test_its_time_is_counted_from_its_start_not_from_its_delay(folder: Path) -> None:
    async def body(case: Case) -> None:
        await case.start("exit 0", delay=0.5, timeout=0.4)
        await case.companions.finish()

    run(folder, body)


@pytest.mark.parametrize(
    ("script", "how", "code"),
    [
        ("echo 'no route' >&2; exit 3", "ended with exit code 3", 3),
        ("echo 'no route'; kill -SEGV $$", "was killed by SIGSEGV", 139),
    ],
)
def test_a_bad_end_fails_the_case_at_once_with_what_was_printed(
    folder: Path, script: str, how: str, code: int
) -> None:
    async def body(case: Case) -> VmsuiteError:
        await case.start(script)
        return await case.failure()

    error = run(folder, body)
    assert isinstance(error, CheckFailed)
    assert error.message == f"companion 'it' {how}"
    assert error.exit_code == code
    assert error.evidence == "no route"
    assert error.location == HERE


def test_a_bad_end_that_came_before_the_last_step_is_raised_after_it(
    folder: Path,
) -> None:
    async def body(case: Case) -> None:
        await case.start("exit 3")
        await case.failure()
        with pytest.raises(CheckFailed):
            await case.companions.finish()

    run(folder, body)


def test_a_task_that_takes_too_long_fails_the_case(folder: Path) -> None:
    async def body(case: Case) -> VmsuiteError:
        await case.start("echo waiting; sleep 600", timeout=0.2)
        return await case.failure()

    error = run(folder, body)
    assert isinstance(error, OutOfTime)
    assert "'it' ran out of its time of 200ms" in error.message
    assert error.evidence == "waiting"


def test_a_slow_host_gives_it_more_time(folder: Path) -> None:
    async def body(case: Case) -> None:
        await case.start("sleep 0.4", timeout=0.1)
        await case.companions.finish()

    run(folder, body, factor=20)


def test_the_case_need_not_wait_for_one_that_ignores_sigterm(folder: Path) -> None:
    async def body(case: Case) -> VmsuiteError:
        script = "trap '' TERM; echo up; while :; do sleep 1; done"
        await case.start(script, timeout=0.2)
        error = await case.failure()
        assert find_owned(TOKEN) != []
        return error

    assert isinstance(run(folder, body), OutOfTime)


def test_a_task_still_running_when_the_case_has_failed_is_ended_quietly(
    folder: Path,
) -> None:
    async def body(case: Case) -> list[tuple[str, str]]:
        await case.start("echo up; sleep 600 & sleep 600")
        await case.hears("up")
        case.companions.stop_judging()
        await case.companions.close()
        assert case.failures == []
        return case.lines

    assert ("it", "is ended") in run(folder, body)


def test_one_that_never_started_says_so(folder: Path) -> None:
    async def body(case: Case) -> list[tuple[str, str]]:
        await case.start("echo up", delay=600)
        await case.companions.close()
        return case.lines

    lines = run(folder, body)
    assert lines == [("it", "never started: its case ended before its delay of 10m")]


def test_a_waited_for_task_raises_in_its_step_and_nowhere_else(folder: Path) -> None:
    async def body(case: Case) -> None:
        with pytest.raises(CheckFailed, match="exit code 4"):
            await case.start("exit 4", wait=True)
        with pytest.raises(OutOfTime):
            await case.start("sleep 600", wait=True, timeout=0.1)
        await asyncio.sleep(0)
        assert case.failures == []

    run(folder, body)


def test_a_waited_for_task_gives_its_output(folder: Path) -> None:
    async def body(case: Case) -> Any:
        return await case.start("echo one; printf two", wait=True)

    report = run(folder, body)
    assert report["exit_code"] == 0
    assert report["output"] == "one\ntwo"
    assert report["name"] == "it"


def test_a_step_that_is_cancelled_while_it_waits_ends_its_companion(
    folder: Path,
) -> None:
    async def body(case: Case) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await case.start("echo up; sleep 600", wait=True)
        assert ("it", "up") in case.lines
        assert find_owned(TOKEN) == []
        assert case.failures == []

    run(folder, body)


# --- services ---------------------------------------------------------------------


def test_a_service_is_stopped_and_not_judged(folder: Path) -> None:
    script = "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.05; done"

    async def body(case: Case) -> Case:
        await case.start(script, role="service", timeout=0.1)
        await case.hears("up")
        await case.companions.finish()
        await case.companions.close()
        return case

    case = run(folder, body)
    assert ("it", "bye") in case.lines
    assert case.failures == []


@pytest.mark.parametrize("code", [0, 1])
def test_a_service_that_ends_early_fails_the_case_in_any_case(
    folder: Path, code: int
) -> None:
    async def body(case: Case) -> VmsuiteError:
        await case.start(f"echo oops; exit {code}", role="service")
        return await case.failure()

    error = run(folder, body)
    assert isinstance(error, CheckFailed)
    assert f"exit code {code}" in error.message
    assert error.evidence == "oops"


def test_a_service_that_ends_while_tasks_are_awaited_fails_the_case(
    folder: Path,
) -> None:
    async def body(case: Case) -> None:
        await case.start("sleep 600", name="task")
        await case.start("sleep 0.1; exit 0", role="service", name="service")
        with pytest.raises(CheckFailed, match="'service' ended before its case"):
            await case.companions.finish()

    run(folder, body)


def test_a_service_does_not_keep_the_case_from_ending(folder: Path) -> None:
    async def body(case: Case) -> None:
        await case.start("sleep 600", role="service", delay=600)
        await case.companions.finish()

    run(folder, body)


# --- readiness --------------------------------------------------------------------


def test_a_line_shows_that_it_is_ready(folder: Path) -> None:
    async def body(case: Case) -> list[tuple[str, str]]:
        script = "echo starting; sleep 0.1; echo listening on 7; sleep 600"
        ready = Ready(log=r"^listening on \d+$")
        report = await case.start(script, role="service", ready=ready)
        assert report["pid"] > 0
        assert report["exit_code"] is None
        return case.lines

    assert ("it", "listening on 7") in run(folder, body)


def test_a_file_shows_that_it_is_ready_when_it_appears_or_changes(
    folder: Path,
) -> None:
    old = folder / "ready"
    old.write_text("of an earlier run")

    async def body(case: Case) -> None:
        script = "sleep 0.2; echo new > ready; echo written; sleep 600"
        await case.start(script, role="service", ready=Ready(file="ready"))
        assert old.read_text() == "new\n"

    run(folder, body)


SERVER = """
exec {python} -c "
import socket, time
time.sleep(0.2)
server = socket.create_server(('127.0.0.1', {port}))
print('first:', server.accept()[0].recv(10), flush=True)
time.sleep(600)
"
"""


def test_a_port_shows_that_it_is_ready_without_being_connected_to(
    folder: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def body(case: Case) -> None:
        script = SERVER.format(python=sys.executable, port=port)
        await case.start(script, role="service", ready=Ready(port=port))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        await case.hears("first: b'hello'")
        writer.close()

    run(folder, body)


def test_a_port_that_is_taken_before_proves_nothing(folder: Path) -> None:
    async def body(case: Case, port: int) -> None:
        with pytest.raises(PlatformError, match=f"port {port} is taken"):
            await case.start("sleep 600", ready=Ready(port=port))

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run(folder, lambda case: body(case, port))


def test_one_that_is_not_ready_in_time_is_ended_and_says_what_was_missing(
    folder: Path,
) -> None:
    async def body(case: Case) -> NotReady:
        ready = Ready(log="up", timeout=0.2)
        with pytest.raises(NotReady) as caught:
            await case.start("echo starting; sleep 600", role="service", ready=ready)
        assert find_owned(TOKEN) == []
        assert case.failures == []
        return caught.value

    error = run(folder, body)
    assert "has not printed a line that matches 'up' in 200ms" in error.message
    assert error.evidence == "starting"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [(0, NotReady, "ended before it had printed"), (3, CheckFailed, "exit code 3")],
)
def test_one_that_ends_before_it_is_ready_fails_its_step(
    folder: Path, code: int, kind: type[Exception], message: str
) -> None:
    async def body(case: Case) -> None:
        with pytest.raises(kind, match=message):
            await case.start(f"echo hm; exit {code}", ready=Ready(log="up"))

    run(folder, body)


def test_one_that_is_ready_and_ends_at_once_was_ready(folder: Path) -> None:
    async def body(case: Case) -> None:
        for _ in range(10):
            await case.start("echo up", ready=Ready(log="up"))
        await case.companions.finish()

    run(folder, body)


def test_a_pattern_that_is_none_is_refused(folder: Path) -> None:
    async def body(case: Case) -> None:
        with pytest.raises(PlatformError, match="no regular expression"):
            await case.start("sleep 600", ready=Ready(log="("))

    run(folder, body)


# --- what it gets, and what is said -------------------------------------------------


def test_it_gets_the_environment_of_the_case_and_the_ways_to_its_machines(
    folder: Path,
) -> None:
    async def body(case: Case) -> str:
        case.machines = {"VMSUITE_FORWARDS": '{"vm": {"7": 1}}'}
        script = (
            'echo "$STARRY_CASE_NAME|$VMSUITE_FORWARDS|$STARRY_COMPANION_DELAY|'
            '$STARRY_COMPANION_TIMEOUT|$MORE|$VMSUITE_COMPANION_NAME|$1|$2|$PWD"'
        )
        report = await case.start(
            script,
            wait=True,
            delay=0.05,
            timeout=9,
            env={"MORE": "x"},
            args=("a b", "$HOME"),
            cwd="sub",
        )
        return str(report["output"])

    (folder / "sub").mkdir()
    expected = f'a case|{{"vm": {{"7": 1}}}}|0.05|9|x|it|a b|$HOME|{folder}/sub'
    assert run(folder, body) == expected


def test_more_than_one_may_run_and_each_line_tells_who_said_it(folder: Path) -> None:
    async def body(case: Case) -> list[tuple[str, str]]:
        for _ in range(3):
            await case.start("echo hello")
        await case.start("echo other", name="other")
        await case.companions.finish()
        return case.lines

    lines = run(folder, body)
    for source in ("it", "it-2", "it-3"):
        assert (source, "hello") in lines
        assert (source, "ended with exit code 0") in lines
    assert ("other", "other") in lines


def test_a_flood_of_output_is_bounded(folder: Path) -> None:
    async def body(case: Case) -> list[tuple[str, str]]:
        await case.start(
            "head -c 100000000 /dev/zero | tr '\\0' 'x'; echo; yes | head -c 9999999"
        )
        await case.companions.finish()
        return case.lines

    lines = run(folder, body)
    assert sum(len(text) for _, text in lines) < 10 << 20
    assert any("of output dropped here" in text for _, text in lines)


def test_a_missing_program_is_said_at_once_even_with_a_delay(folder: Path) -> None:
    async def body(case: Case) -> None:
        spec = CompanionSpec(location=NOWHERE, program="no/such", delay=600)
        with pytest.raises(PlatformError, match="'no/such' does not exist"):
            await case.companions.start(spec, wait=False)
        broken = case.program("broken", "")
        (folder / "broken").chmod(0o644)
        spec = CompanionSpec(location=NOWHERE, program=broken, delay=600)
        with pytest.raises(PlatformError, match="is not executable"):
            await case.companions.start(spec, wait=False)

    run(folder, body)


def test_one_that_cannot_be_started_after_its_delay_fails_the_case(
    folder: Path,
) -> None:
    async def body(case: Case) -> VmsuiteError:
        await case.start("exit 0", delay=0.1)
        (folder / "it").unlink()
        return await case.failure()

    assert isinstance(run(folder, body), PlatformError)


# --- companion.toml and the environment ---------------------------------------------


def define(folder: Path, toml: str, script: str) -> None:
    place = folder / "host_companions/mine"
    place.mkdir(parents=True)
    (place / "companion.toml").write_text(toml)
    (place / "run.sh").write_text(f"#!/bin/sh\n{script}\n")
    (place / "run.sh").chmod(0o755)


def spec_of(program: str, **fields: Any) -> CompanionSpec:
    return CompanionSpec(location=NOWHERE, program=program, **fields)


def test_a_companion_toml_gives_the_defaults_and_the_step_wins(folder: Path) -> None:
    toml = """
    command = ["./run.sh", "first"]
    role = "service"
    ready = {log = "up"}
    env = {GREETING = "hello from {folder}"}
    timeout = "7s"
    """
    script = 'echo "$1 $2 $GREETING $STARRY_COMPANION_TIMEOUT"; echo up; sleep $3'
    define(folder, toml, script)

    async def body(case: Case) -> list[tuple[str, str]]:
        await case.companions.start(spec_of("mine", args=("x", "600")), wait=False)
        await case.companions.finish()
        task = spec_of("mine", args=("y", "0"), role="task", timeout=8)
        await case.companions.start(task, wait=True)
        return case.lines

    lines = run(folder, body)
    place = folder / "host_companions/mine"
    assert ("mine", f"first x hello from {place} 7") in lines
    assert ("mine-2", f"first y hello from {place} 8") in lines


def test_it_is_built_before_it_starts(folder: Path) -> None:
    toml = "command = '{build}/it'\nbuild = 'cp run.sh {build}/it'"
    define(folder, toml, "echo built")

    async def body(case: Case) -> str:
        report = await case.companions.start(spec_of("mine"), wait=True)
        return str(report["output"])

    assert run(folder, body) == "built"


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ("arch = 'pdp11'", "needs arch pdp11"),
        ("programs = ['no-such-tool']", "needs the program 'no-such-tool'"),
    ],
)
def test_what_the_host_lacks_is_a_reason_to_skip(
    folder: Path, needs: str, reason: str
) -> None:
    define(folder, f"command = './run.sh'\n[requires]\n{needs}", "exit 0")

    async def body(case: Case) -> None:
        with pytest.raises(Skipped, match=reason):
            await case.companions.start(spec_of("mine"), wait=False)

    run(folder, body)


@pytest.mark.skipif(
    os.access("/dev/vhost-vsock", os.R_OK | os.W_OK), reason="this host has vhost-vsock"
)
def test_vsock_is_skipped_where_the_host_has_none(folder: Path) -> None:
    async def body(case: Case) -> None:
        with pytest.raises(Skipped, match="'vsock-echo' needs vsock"):
            await case.companions.start(spec_of("vsock-echo"), wait=False)

    run(folder, body)


def test_a_bad_companion_toml_is_no_traceback(folder: Path) -> None:
    define(folder, "role = 'x'", "")

    async def body(case: Case) -> None:
        with pytest.raises(InvalidSuite) as caught:
            await case.companions.start(spec_of("mine"), wait=False)
        assert len(caught.value.findings) == 2

    run(folder, body)


def test_without_a_program_the_environment_names_it(folder: Path) -> None:
    async def body(case: Case) -> list[tuple[str, str]]:
        program = case.program("legacy", 'echo "$STARRY_COMPANION_TIMEOUT"')
        case.environment["STARRY_HOST_COMPANION"] = str(folder / program)
        case.environment["STARRY_COMPANION_DELAY"] = "0.1"
        case.environment["STARRY_COMPANION_TIMEOUT"] = "12"
        begun = time.monotonic()
        await case.companions.start(spec_of(""), wait=False)
        await case.companions.finish()
        assert time.monotonic() - begun > 0.1
        return case.lines

    assert ("legacy", "12") in run(folder, body)


def test_an_environment_that_makes_no_sense_is_refused(folder: Path) -> None:
    async def body(case: Case) -> None:
        case.environment["STARRY_HOST_COMPANION"] = case.program("legacy", "")
        case.environment["STARRY_COMPANION_DELAY"] = "soon"
        with pytest.raises(PlatformError, match="STARRY_COMPANION_DELAY: 'soon'"):
            await case.companions.start(spec_of(""), wait=False)
        del case.environment["STARRY_HOST_COMPANION"]
        with pytest.raises(PlatformError, match="names no companion"):
            await case.companions.start(spec_of(""), wait=False)

    run(folder, body)


# --- ends ---------------------------------------------------------------------------


def test_daemons_of_companions_end_with_the_case(folder: Path) -> None:
    script = "setsid sh -c 'sleep 600 & echo daemon; wait' & echo up; wait"

    async def body(case: Case) -> None:
        await case.start(script, role="service")
        await case.hears("daemon")
        assert len(find_owned(TOKEN)) >= 3

    run(folder, body)


def test_a_cancelled_case_ends_its_companions_and_stays_cancelled(
    folder: Path,
) -> None:
    async def main() -> None:
        up = asyncio.Event()

        async def a_whole_case() -> None:
            async with a_case(folder) as case:
                for number in range(3):
                    script = "trap '' TERM; echo up; while :; do sleep 1; done"
                    await case.start(script, name=f"n{number}", role="service")
                    await case.hears("up", f"n{number}")
                up.set()
                await case.companions.finish()
                await asyncio.sleep(600)

        task = asyncio.ensure_future(a_whole_case())
        async with asyncio.timeout(60):
            await up.wait()
            task.cancel()
            await asyncio.wait([task], timeout=0.1)
            begun = time.monotonic()
            task.cancel()  # the second one cuts the grace short
            await asyncio.wait([task])
        assert task.cancelled()
        assert time.monotonic() - begun < 1.5

    asyncio.run(main())


def test_cancellations_at_any_moment_leave_nothing(folder: Path) -> None:
    async def main() -> None:
        for number in range(20):

            async def a_whole_case() -> None:
                async with a_case(folder) as case:
                    await case.start("sleep 600", role="service", name="a")
                    await case.start("echo up; sleep 600", ready=Ready(log="up"))
                    await case.companions.finish()

            task = asyncio.ensure_future(a_whole_case())
            await asyncio.wait([task], timeout=number * 0.004)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert find_owned(TOKEN) == []

    asyncio.run(main())
