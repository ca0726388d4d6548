"""The serial shell on a terminal of the host: any POSIX shell will do."""

from __future__ import annotations

import asyncio
import base64
import os
import pty
import re
import shutil
import subprocess
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from vmsuite.errors import Unreachable
from vmsuite.ports import Machine, Shell
from vmsuite.testing.contracts import FilesContract, ShellContract, Stand, standing
from vmsuite_plugins.protocols.console_log import ConsoleLog
from vmsuite_plugins.protocols.serial_frames import Done, Sum, payload, read_done
from vmsuite_plugins.protocols.serial_shell import SerialShell

SHELLS = [name for name in ("dash", "bash") if shutil.which(name)]


class Terminal:
    """A host terminal with a shell on it, seen as a guest's serial console."""

    name = "terminal"

    def __init__(self, log: ConsoleLog, master: int) -> None:
        self.log = log
        self._master = master
        self._tasks: set[asyncio.Task[Any]] = set()
        self.shell = SerialShell(log, self.send, self.keep, within=1.0)

    async def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._master, view[:1024]) :]
            except BlockingIOError:
                await asyncio.sleep(0.001)

    def keep(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return cast("asyncio.Task[None]", task)

    def capability(self, kind: type[Any]) -> Any:
        assert kind is Shell
        return self.shell

    async def ready(self) -> None:
        return


@asynccontextmanager
async def terminal(folder: Path, *argv: str) -> AsyncIterator[Machine]:
    """Run a program on a terminal of its own."""
    master, slave = pty.openpty()
    tty.setraw(master)  # our side; the shell's own is set by the kernel's defaults
    subprocess.run(["stty", "sane"], stdin=slave, check=True)  # noqa: ASYNC221 - short
    os.set_blocking(master, False)
    process = subprocess.Popen(  # noqa: ASYNC220 - its pipes are the terminal
        ["setsid", "-c", *argv],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PS1": "$ ", "TERM": "dumb"},
    )
    os.close(slave)
    log = ConsoleLog(folder / "console.log")
    loop = asyncio.get_running_loop()

    def readable() -> None:
        try:
            log.feed(os.read(master, 65536))
        except BlockingIOError:
            return
        except OSError:
            loop.remove_reader(master)

    loop.add_reader(master, readable)
    try:
        yield cast("Machine", Terminal(log, master))
    finally:
        loop.remove_reader(master)
        process.kill()
        process.wait()
        os.close(master)
        log.close()
        for path in re.findall(r"(/[\w./-]+\.vmsuite-[0-9a-f]{16})", log.text()):
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module", params=SHELLS)
def stand(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp(request.param)
    argv = [request.param, *(["--norc"] if request.param == "bash" else []), "-i"]
    with standing(lambda: terminal(folder, *argv)) as stand:
        yield stand


class TestSerialShell(ShellContract):
    pass


class TestSerialFiles(FilesContract):
    pass


def test_noise_of_the_kernel_is_left_out_or_asked_again(stand: Stand) -> None:
    log = cast("Terminal", stand.machine).log

    async def noise() -> None:
        while True:
            log.feed(b"[  123.456789] a kernel message\r\n")
            log.feed(b"half a line")
            await asyncio.sleep(0.01)

    async def story() -> str:
        disturbing = asyncio.create_task(noise())
        try:
            result = await stand.capability(Shell).execute(("seq", "30000"))
        finally:
            disturbing.cancel()
        return result.stdout

    expected = "".join(f"{number}\n" for number in range(1, 30001))
    assert stand.run(story(), limit=60) == expected


def test_a_server_that_was_killed_is_started_again(stand: Stand) -> None:
    async def story() -> str:
        shell = stand.capability(Shell)
        await shell.execute(("true",))
        servers = "pkill -9 -f '[.]vmsuite-.*/s ' ; true"
        killing = await asyncio.create_subprocess_shell(servers)
        await killing.wait()
        return (await shell.execute(("echo", "again"))).stdout

    assert stand.run(story(), limit=30) == "again\n"


def test_a_script_that_was_removed_is_put_there_again(stand: Stand) -> None:
    async def story() -> str:
        shell = cast("SerialShell", stand.capability(Shell))
        await shell.execute(("true",))
        async with shell.turn:
            await shell.release()
        shutil.rmtree(Path(shell._script).parent)
        return (await shell.execute(("echo", "again"))).stdout

    assert stand.run(story(), limit=60) == "again\n"


def test_a_restart_of_the_guest_ends_the_command_under_way(stand: Stand) -> None:
    async def story() -> str:
        shell = cast("SerialShell", stand.capability(Shell))
        running = asyncio.create_task(shell.execute(("sleep", "30.5")))
        await asyncio.wait({running}, timeout=0.5)
        shell.forget("the guest restarted")
        with pytest.raises(Unreachable, match="the guest restarted"):
            await running
        return (await shell.execute(("echo", "next"))).stdout

    assert stand.run(story(), limit=60) == "next\n"


def test_no_shell_at_all_is_told_with_what_the_console_shows(tmp_path: Path) -> None:
    with standing(lambda: terminal(tmp_path, "cat")) as silent:
        shell = silent.capability(Shell)
        with pytest.raises(Unreachable, match=r"no shell answers .*log in first"):
            silent.run(shell.execute(("true",)), limit=60)


def test_a_payload_is_taken_only_if_it_is_unharmed() -> None:
    content = b"hello" * 20
    lines = base64.encodebytes(content).decode()
    md5 = Sum.of(content).md5

    def read(body: str) -> bytes | None:
        return payload(
            f"@t:whole out\n{body}@t:end out\n", "@t:whole out", "@t:end out", md5
        )

    assert read(lines) == content
    assert read("[    1.000000] kernel\n" + lines) == content
    assert read(lines[:30] + "[    1.000000] kernel\n" + lines[30:]) == content
    assert read(lines[:30] + "<6>other\n" + lines[30:]) is None
    assert read(lines[:-20] + "\n") is None
    assert read("") is None


def test_a_report_is_read_only_with_its_token() -> None:
    line = f"@t1:done 3 {Sum.of(b'x')} - 0\n"
    assert read_done(line, "t1") == Done(3, Sum.of(b"x"), Sum("-", 0))
    with pytest.raises(ValueError, match="no report"):
        read_done(line, "t2")
