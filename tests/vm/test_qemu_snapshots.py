"""Snapshots of real machines, and machines saved into files that go on from there."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import shutil
import subprocess
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from vmsuite.errors import CheckFailed, PlatformError
from vmsuite.ports import (
    STATE_FILE,
    Console,
    Desk,
    Machine,
    Media,
    Monitor,
    Network,
    Power,
    Saving,
    Shell,
    Snapshots,
)
from vmsuite.testing.command_line import RUN_SUITE, CommandLine
from vmsuite.testing.contracts import (
    SavingContract,
    SnapshotsContract,
    Stand,
    standing,
)
from vmsuite_plugins.drivers.qemu.driver import QemuDriver
from vmsuite_plugins.drivers.qemu.firmware import find_uefi
from vmsuite_plugins.drivers.qemu.machine import QemuMachine
from vmsuite_plugins.drivers.qemu.snapshots import QemuSnapshots

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

T = TypeVar("T")
LIMIT = 240.0
SETTINGS: dict[str, Any] = {
    "guest": "tiny-linux",
    "disks": ["data.img"],
    "forwards": [7],
    "channels": ["test"],
}


@pytest.fixture(scope="module")
def disk(lab: Lab) -> Path:
    path = lab.folder / "data.img"
    path.write_bytes(b"original".ljust(1 << 20, b"\0"))
    return path


@pytest.fixture(scope="module")
def stand(lab: Lab, disk: Path) -> Iterator[Stand]:
    del disk
    with standing(lab.opening(**SETTINGS)) as stand:
        yield stand


def run(work: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(LIMIT):
            return await work

    return asyncio.run(limited())


async def sh(machine: Machine, script: str) -> str:
    result = await machine.capability(Shell).execute(("sh", "-c", script))
    if result.exit_code != 0:
        raise CheckFailed(f"{script}: {result.exit_code}: {result.stderr}")
    return result.stdout.strip()


class TestQemuSnapshots(SnapshotsContract):
    async def crash(self, machine: Machine) -> None:
        await machine.capability(Console).send(b"echo c >/proc/sysrq-trigger\n")


class TestQemuSaving(SavingContract):
    pass


def test_a_snapshot_takes_a_moment_only(stand: Stand) -> None:
    """The budget is for a quiet host, so that the quickest of three counts."""
    snapshots = stand.capability(Snapshots)
    times = []
    for _ in range(3):
        begun = time.monotonic()
        stand.run(snapshots.save("quick"))
        times.append(time.monotonic() - begun)
    assert min(times) <= 1.5


def test_clock_and_random_numbers_are_of_now(stand: Stand) -> None:
    """Two futures of one past must not draw the same numbers."""
    snapshots = stand.capability(Snapshots)

    async def story() -> set[str]:
        await sh(stand.machine, "date -s '2001-01-01 00:00:00'")
        await snapshots.save("past")
        numbers = set()
        for _ in range(2):
            await snapshots.restore("past")
            assert "fork_note" not in stand.machine.facts
            said = await sh(stand.machine, "date +%s; head -c 16 /dev/urandom | md5sum")
            seconds, random = said.split("\n")
            assert int(seconds) > 1_700_000_000
            numbers.add(random)
        return numbers

    assert len(stand.run(story())) == 2


def test_the_medium_of_then_is_in_the_drive(lab: Lab, stand: Stand) -> None:
    first, second = lab.folder / "first.iso", lab.folder / "second.iso"
    for path in (first, second):
        path.write_bytes(path.name.encode().ljust(1 << 20, b"\0"))
    media, snapshots = stand.capability(Media), stand.capability(Snapshots)

    async def story() -> list[str]:
        await media.insert(first, None)
        await snapshots.save("with medium")
        await media.eject(None, force=True)
        await snapshots.save("without")
        await media.insert(second, None)
        seen = [await inserted(stand.machine)]
        for name in ("with medium", "without", "with medium"):
            await snapshots.restore(name)
            seen.append(await inserted(stand.machine))
        await media.eject(None, force=True)
        return seen

    assert stand.run(story()) == ["second.iso", "first.iso", "", "first.iso"]


async def inserted(machine: Machine) -> str:
    """Return the file in the machine's drive; empty if there is none."""
    for drive in await machine.capability(Monitor).qmp("query-block", None):
        if drive.get("qdev") == "cd0" and "inserted" in drive:
            return Path(drive["inserted"]["image"]["filename"]).name
    return ""


def test_there_is_a_limit_and_it_is_told(stand: Stand) -> None:
    machine = stand.machine
    assert isinstance(machine, QemuMachine)
    two = QemuSnapshots(machine, at_most=2)
    stand.run(two.save("a"))
    stand.run(two.save("b"))
    stand.run(two.save("a"))
    with pytest.raises(PlatformError, match="'c' is one too many: 2 is the limit"):
        stand.run(two.save("c"))
    small = QemuSnapshots(machine, room=1 << 20)
    with pytest.raises(PlatformError, match="the limit"):
        stand.run(small.save("large"))
    assert stand.run(stand.capability(Power).status()) == "running"


def test_saving_that_is_called_off_leaves_the_guest_running(stand: Stand) -> None:
    """As a step does whose time is over."""

    async def story() -> str:
        for turns in (1, 5, 20, 60):
            saving = asyncio.create_task(stand.capability(Snapshots).save("cut off"))
            for _ in range(turns):
                await asyncio.sleep(0)
            saving.cancel()
            await asyncio.wait({saving})
            assert await sh(stand.machine, "echo fine") == "fine"
        await stand.capability(Snapshots).save("whole")
        await stand.capability(Snapshots).restore("whole")
        return await sh(stand.machine, "echo fine")

    assert stand.run(story()) == "fine"


def test_what_cannot_be_saved_names_the_device(lab: Lab) -> None:
    (lab.folder / "nvme.img").write_bytes(bytes(1 << 20))
    drive = f"if=none,id=nv,format=raw,file={lab.folder / 'nvme.img'}"
    arguments = ["-drive", drive, "-device", "nvme,drive=nv,serial=1"]

    async def story(folder: Path) -> None:
        async with lab.open(disk=lab.disk("say"), qemu_args=arguments) as machine:
            await machine.capability(Console).until(re.compile("hello, lab"))
            with pytest.raises(CheckFailed, match="nvme"):
                await machine.capability(Saving).save_to(folder)
            assert await machine.capability(Power).status() == "running"

    run(story(make(lab.folder / "nvme-state")))


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_fork_goes_back_and_is_saved_without_its_template(
    lab: Lab, disk: Path, tmp_path: Path, shared_cache: Path
) -> None:
    """Memory, disk and ports after a panic; then from files, twice, as it was."""
    cache = make(tmp_path / "cache")
    (cache / "guests").symlink_to(shared_cache / "guests")
    driver, folder = QemuDriver(), make(tmp_path / "state")
    lab_of_fork = replace(lab, driver=driver)

    async def story() -> None:
        spec = lab.spec(**SETTINGS)
        warmth = await driver.warm(spec, lab.context(cache_dir=cache))
        assert warmth.digest, warmth.reason
        context = lab.context(cache_dir=cache)
        async with driver.open(spec, context) as machine:
            assert machine.warm
            await sh(machine, "echo one >/tmp/x; printf written1 | dd of=/dev/vda")
            await machine.capability(Snapshots).save("one")
            ports = set()
            for ending in ("true", "poweroff -f", "echo c >/proc/sysrq-trigger"):
                await sh(machine, "echo 2 >/tmp/x; printf changed! | dd of=/dev/vda")
                await machine.capability(Console).send(f"{ending}\n".encode())
                if "sysrq" in ending:
                    await machine.lost()
                await machine.capability(Snapshots).restore("one")
                assert await sh(machine, LOOK) == "one\nwritten1"
                ports.add(machine.capability(Network).forward(7))
                assert await echoed(machine)
            await machine.capability(Saving).save_to(folder)
            assert await sh(machine, LOOK) == "one\nwritten1"
        driver.cool()
        shutil.rmtree(cache / "templates")
        content = {path.name: path.read_bytes() for path in folder.glob("*.qcow2")}
        for _ in range(2):
            said = await typed(lab_of_fork, folder, f"{LOOK}; {HARM}; poweroff -f")
            assert "one\r\nwritten1" in said
        assert {p.name: p.read_bytes() for p in folder.glob("*.qcow2")} == content

    run(story())
    assert disk.read_bytes()[:8] == b"original"


LOOK = "cat /tmp/x; head -c 8 /dev/vda"
HARM = "echo harm | dd of=/dev/vda conv=fsync"


async def echoed(machine: Machine) -> bool:
    """Whether the guest answers at its forwarded port, as it is numbered now."""
    await sh(machine, "nc -l -p 7 -e /bin/cat >/dev/null 2>&1 </dev/null &")
    await sh(machine, "until netstat -ltn | grep -q ':7 '; do sleep 0.1; done")
    port = machine.capability(Network).forward(7)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    answer = await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    return answer == b"hello"


async def typed(lab: Lab, folder: Path, line: str) -> str:
    """Let a saved machine go on, type a line that ends it, return what it said."""
    said: list[bytes] = []
    runtime = lab.context().runtime_dir
    desk = Desk(runtime_dir=runtime, on_output=said.append)
    async with lab.driver.revive(folder, desk) as machine:
        await machine.send(f"{line}\n".encode())
        assert await machine.over() == "the guest powered itself off"
    (runtime / "qmp.sock").unlink(missing_ok=True)
    return b"".join(said).decode(errors="replace")


@pytest.mark.skipif(find_uefi() is None, reason="no UEFI firmware is installed")
def test_firmware_variables_are_as_they_were(lab: Lab) -> None:
    """Set and read at the firmware's own shell."""
    settings: dict[str, Any] = {
        "disk": lab.disk("hang"),
        "firmware": "uefi",
        "network": "none",
        "display": "none",
        "ready": "console:any other key",
        "boot_timeout": "3m",
    }

    async def story() -> None:
        async with lab.open(**settings) as machine:
            await machine.ready()
            await tell_shell(machine, "")
            await tell_shell(machine, f"{VARIABLE} -nv -bs =31")
            await machine.capability(Snapshots).save("one")
            before = store(machine)
            await tell_shell(machine, f"{VARIABLE} -nv -bs =32")
            assert "\n32 " in await tell_shell(machine, VARIABLE)
            assert store(machine) != before
            await machine.capability(Snapshots).restore("one")
            # Not only in the firmware's memory of it.
            assert store(machine) == before
            assert "\n31 " in await tell_shell(machine, VARIABLE)

    run(story())


def store(machine: Machine) -> bytes:
    """Return what the firmware's variables are kept in."""
    assert isinstance(machine, QemuMachine)
    descriptor = machine.life().blueprint.firmware_variables
    assert descriptor is not None
    return os.pread(descriptor, 1 << 20, 0)


VARIABLE = "setvar Mine -guid 6f1c9a52-93ca-4b2d-aa0d-0123456789ab"
PROMPT = re.compile(r"Shell> ")


async def tell_shell(machine: Machine, line: str) -> str:
    """Type a line at the firmware's shell; return what it said to it."""
    console = machine.capability(Console)
    mark = console.mark()
    await console.send(f"{line}\r".encode())
    await console.until(PROMPT, since=mark)
    return re.sub(r"\x1b\[[0-9;=]*[A-Za-z]", "", console.text(since=mark))


SUITE = """
    name: dbg
    machines: {vm: {guest: tiny-linux, forwards: [7]}}
    cases:
      - name: fails here
        steps:
          - {type: virtualization_action, action: execute_command,
             command: "echo precious >/tmp/kept"}
          - {type: virtualization_action, action: execute_command, command: "false"}
        cleanup:
          - {type: virtualization_action, action: execute_command,
             command: "rm /tmp/kept"}
"""


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A run whose case failed, with its machine saved."""
    folder = tmp_path_factory.mktemp("debug")
    call = CommandLine(folder, {"VMSUITE_STATE": str(folder / "state")})
    call.write("suite.yaml", SUITE)
    ended = call("--save-on-failure", "--timeout-factor", "5", ".")
    assert ended.code == 1, ended.err
    (hint,) = [line for line in ended.out.splitlines() if line.startswith("debug:")]
    call.environment["HINT"] = hint
    yield call
    assert list((folder / "state" / "runs").iterdir()) == []


def debug_words(call: CommandLine) -> list[str]:
    """Return the words that the run said one should type."""
    said = call.environment["HINT"].split()
    assert said[1:3] == ["run-suite", "debug"]
    return [str(RUN_SUITE), *said[2:]]


def test_a_script_goes_on_where_a_case_failed(saved_run: CommandLine) -> None:
    """Before its cleanup; as often as one likes."""
    for _ in range(2):
        done = subprocess.run(
            debug_words(saved_run),
            cwd=saved_run.folder,
            env={**os.environ, **saved_run.environment},
            input=b"cat /tmp/kept; rm /tmp/kept; poweroff -f\n",
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert b"\r\nprecious" in done.stdout
        assert b"the guest powered itself off" in done.stderr
        assert b"port 7: 127.0.0.1:" in done.stderr


def test_a_person_sits_at_the_console_until_ctrl_bracket(
    saved_run: CommandLine,
) -> None:
    """The terminal is raw meanwhile, and itself again afterwards."""
    import termios  # noqa: PLC0415 - here alone

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with subprocess.Popen(
        debug_words(saved_run),
        cwd=saved_run.folder,
        env={**os.environ, **saved_run.environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        try:
            read_until(ours, b"Ctrl-] to leave")
            os.write(ours, b"cat /tmp/kept\r")
            read_until(ours, b"precious")
            # Ctrl-C is for the guest, too, not for us.
            cooked = termios.ICANON | termios.ISIG | termios.ECHO
            assert not termios.tcgetattr(theirs)[3] & cooked
            os.write(ours, b"echo al''ive\r")
            read_until(ours, b"alive")
            os.write(ours, b"\x1d")
            read_until(ours, b"nothing of what happened was kept")
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """Read a terminal until it said this. Raises AssertionError after 90 s."""
    import select  # noqa: PLC0415 - here alone

    seen, end = b"", time.monotonic() + 90
    while wanted not in seen:
        if not select.select([descriptor], [], [], max(0, end - time.monotonic()))[0]:
            raise AssertionError(f"never said {wanted!r}: {seen!r}")
        seen += os.read(descriptor, 4096)
    return seen


def test_a_damaged_or_foreign_state_is_refused_in_words(
    saved_run: CommandLine,
) -> None:
    (path,) = saved_run.folder.glob(f"logs/dbg/2*/artifacts/*/vm.state/{STATE_FILE}")
    good = path.read_text()
    words = debug_words(saved_run)[1:]
    for change, told in (
        (('"qemu": "', '"qemu": "1'), "and this is QEMU"),
        (('"cpus": 1', '"cpus": 0'), "cpus"),
        (('"vmlinux', '"gone'), "this host has not"),
        (('"qemu_args": []', '"qemu_args": ["-S"]'), "--trust"),
        (('"driver": "qemu"', '"driver": "bochs"'), "no driver 'bochs'"),
    ):
        old, new = change
        changed = good.replace(old, new)
        if "vmlinux" in old:
            changed = re.sub(r'"kernel": "[^"]*"', '"kernel": "/no/kernel"', good)
        assert changed != good
        path.write_text(changed)
        ended = saved_run(*words)
        assert ended.code in {2, 3}
        assert told in ended.err
        assert "Traceback" not in ended.err
    path.write_text(good)
