"""Forks of real machines: pristine, quick to start, and no danger to their template."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.events import LogLine, Notice
from vmsuite.ports import (
    Input,
    KeyPress,
    Machine,
    Media,
    Monitor,
    Power,
    Preparation,
    Shell,
    Warmth,
)
from vmsuite_plugins.drivers.qemu.driver import QemuDriver
from vmsuite_plugins.drivers.qemu.firmware import find_uefi
from vmsuite_plugins.drivers.qemu.warm import sealed

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

    from vmsuite_plugins.drivers.qemu.warm.template import Template

pytestmark = pytest.mark.vm

T = TypeVar("T")
LIMIT = 240.0


@dataclass
class Forge:
    """Warms machines with a cache of their own, and forks them."""

    lab: Lab
    cache: Path
    driver: QemuDriver = field(default_factory=QemuDriver)

    async def warm(
        self, preparation: Preparation | None = None, **settings: Any
    ) -> Warmth:
        context = self.lab.context(cache_dir=self.cache, preparation=preparation)
        return await self.driver.warm(self.lab.spec(**settings), context)

    @asynccontextmanager
    async def fork(
        self, preparation: Preparation | None = None, **settings: Any
    ) -> AsyncIterator[Machine]:
        context = self.lab.context(cache_dir=self.cache, preparation=preparation)
        async with self.driver.open(self.lab.spec(**settings), context) as machine:
            await machine.ready()
            yield machine

    def tiny(self) -> dict[str, Any]:
        """Return a guest of a few bytes, for what is not about what is in a guest."""
        disk = self.lab.disk("say")
        return {
            "disk": disk,
            "ready": "console:hello",
            "network": "none",
            "memory": "32M",
            "boot_timeout": "1m",
        }

    def template(self, digest: str) -> Template:
        """Return a template that is warm."""
        return self.driver.warm_templates[digest]


@pytest.fixture
def forge(lab: Lab, tmp_path: Path, shared_cache: Path) -> Forge:
    """A driver that has nothing warm, with a cache that holds the guests only."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "guests").symlink_to(shared_cache / "guests")
    return Forge(lab=lab, cache=cache)


def run(work: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(LIMIT):
            return await work

    return asyncio.run(limited())


def prepared(
    work: Callable[[Machine], Awaitable[None]], digest: str = "p"
) -> Preparation:
    return Preparation(digest=digest, run=work)


async def sh(machine: Machine, script: str) -> str:
    result = await machine.capability(Shell).execute(("sh", "-c", script))
    if result.exit_code != 0:
        raise CheckFailed(f"{script}: {result.exit_code}: {result.stderr}")
    return result.stdout.strip()


def test_forks_are_pristine_each_and_prepared_once(forge: Forge) -> None:
    """What one writes, in memory or as its name, the next does not see."""
    times = 0

    async def prepare(machine: Machine) -> None:
        nonlocal times
        times += 1
        await sh(machine, "echo prepared >/tmp/prepared")

    async def story() -> None:
        preparation = prepared(prepare)
        warmth = await forge.warm(preparation, guest="tiny-linux")
        assert warmth.made
        assert not warmth.reason
        for _ in range(3):
            async with forge.fork(preparation, guest="tiny-linux") as machine:
                assert machine.warm
                assert machine.facts["template"] == warmth.digest
                assert await sh(machine, "cat /tmp/prepared; hostname") == (
                    "prepared\ntiny-linux"
                )
                await sh(machine, "hostname dirty; rm /tmp/prepared; echo x >/tmp/x")
        assert times == 1
        assert not (await forge.warm(preparation, guest="tiny-linux")).made
        forge.driver.cool()
        async with forge.fork(guest="tiny-linux") as machine:
            assert not machine.warm

    run(story())


def test_forks_differ_in_their_random_numbers_and_have_the_time(forge: Forge) -> None:
    """The template's clock was set to 2001: forks have the host's, unless told not."""

    async def prepare(machine: Machine) -> None:
        await sh(machine, "date -s '2001-01-01 00:00:00'")

    async def story() -> None:
        preparation = prepared(prepare)
        await forge.warm(preparation, guest="tiny-linux")
        numbers = set()
        for _ in range(3):
            async with forge.fork(preparation, guest="tiny-linux") as machine:
                said = await sh(machine, "date +%s; head -c 16 /dev/urandom | md5sum")
                seconds, random = said.split("\n")
                assert int(seconds) > 1_700_000_000
                assert "fork_note" not in machine.facts
                numbers.add(random)
        assert len(numbers) == 3
        kept: dict[str, Any] = {"guest": "tiny-linux", "clock": "template"}
        await forge.warm(preparation, **kept)
        async with forge.fork(preparation, **kept) as machine:
            assert await sh(machine, "date +%Y") == "2001"

    run(story())


@pytest.mark.parametrize(
    "settings",
    [
        {"machine": "pc", "keyboard": "ps2"},
        {"machine": "q35", "keyboard": "usb", "pointer": "usb-tablet"},
        {"machine": "q35", "keyboard": "virtio", "display": "virtio"},
    ],
    ids=lambda settings: "-".join(settings.values()),
)
def test_every_mainboard_and_keyboard_forks(
    forge: Forge, settings: dict[str, Any]
) -> None:
    """What is typed at the fork's keyboard arrives on its screen's console."""
    settings = {"guest": "tiny-linux", **settings}

    async def story() -> None:
        warmth = await forge.warm(**settings)
        assert warmth.digest, warmth.reason
        async with forge.fork(**settings) as machine:
            assert machine.warm
            await type_until_seen(machine, "hello")

    run(story())


async def type_until_seen(machine: Machine, word: str) -> None:
    """Type a word at the console until it is there: typing is blind."""
    keyboard = machine.capability(Input)
    for _ in range(10):
        await keyboard.press([KeyPress(("ctrl", "u"))])
        await keyboard.press([KeyPress((key,)) for key in word])
        for _ in range(20):
            # The screen's text, a line of which begins with the shell's prompt.
            seen = await sh(machine, "cat /dev/vcs1")
            if seen.endswith(f"# {word}"):
                return
    raise AssertionError(f"{word!r} never arrived; the screen says {seen!r}")


def test_keys_held_when_a_template_is_made_are_not_held_in_its_forks(
    forge: Forge,
) -> None:
    async def prepare(machine: Machine) -> None:
        key = {"type": "key", "data": {"down": True, "key": SHIFT}}
        await machine.capability(Monitor).qmp("input-send-event", {"events": [key]})

    async def story() -> None:
        preparation = prepared(prepare)
        await forge.warm(preparation, guest="tiny-linux")
        async with forge.fork(preparation, guest="tiny-linux") as machine:
            await type_until_seen(machine, "small")

    run(story())


SHIFT = {"type": "qcode", "data": "shift"}


@pytest.mark.skipif(find_uefi() is None, reason="no UEFI firmware is installed")
def test_uefi_machines_fork_each_with_variables_of_its_own(forge: Forge) -> None:
    """The firmware counts its starts in a variable: one more after a fork's restart,
    as before in the next fork.
    """
    settings: dict[str, Any] = {
        "guest": "tiny-linux",
        "firmware": "uefi",
        "boot_timeout": "3m",
    }
    variables = "/sys/firmware/efi/efivars"
    count = f"mount -t efivarfs efivarfs {variables} && cat {variables}/MTC-* | md5sum"

    async def story() -> None:
        warmth = await forge.warm(**settings)
        assert warmth.digest, warmth.reason
        async with forge.fork(**settings) as machine:
            assert machine.warm
            before = await sh(machine, count)
            await machine.capability(Power).reboot()
            assert await sh(machine, count) != before
        async with forge.fork(**settings) as machine:
            assert await sh(machine, count) == before

    run(story())


def test_disks_are_as_prepared_in_every_fork(forge: Forge) -> None:
    """The given disk, the template's and the forks': each keeps what it was."""
    disk = forge.lab.folder / "data.img"
    disk.write_bytes(b"original".ljust(1 << 20, b"\0"))
    settings: dict[str, Any] = {"guest": "tiny-linux", "disks": [disk.name]}

    async def prepare(machine: Machine) -> None:
        await sh(machine, "printf prepared | dd of=/dev/vda conv=fsync 2>/dev/null")

    async def story() -> None:
        preparation = prepared(prepare)
        warmth = await forge.warm(preparation, **settings)
        assert warmth.digest, warmth.reason
        for _ in range(2):
            async with forge.fork(preparation, **settings) as machine:
                assert machine.warm
                assert await sh(machine, "head -c 8 /dev/vda") == "prepared"
                await sh(machine, "printf changed! | dd of=/dev/vda conv=fsync")
                assert await sh(machine, "head -c 8 /dev/vda") == "changed!"
        assert disk.read_bytes()[:8] == b"original"
        # And so it is for a later run, which finds it on disk.
        forge.driver.cool()
        assert not (await forge.warm(preparation, **settings)).made
        async with forge.fork(preparation, **settings) as machine:
            assert await sh(machine, "head -c 8 /dev/vda") == "prepared"

    run(story())


def test_a_balloon_in_a_fork_cannot_change_the_template(forge: Forge) -> None:
    """It makes QEMU punch holes into the memory's file: the kernel refuses."""
    settings: dict[str, Any] = {
        "guest": "tiny-linux",
        "qemu_args": ["-device", "virtio-balloon-pci,id=balloon"],
    }

    async def story() -> None:
        warmth = await forge.warm(**settings)
        assert warmth.digest, warmth.reason
        template = forge.template(warmth.digest)
        before = sealed.checksum(template.ram)
        async with forge.fork(**settings) as machine:
            await sh(machine, "modprobe virtio_balloon")
            monitor = machine.capability(Monitor)
            await monitor.qmp("balloon", {"value": 96 << 20})
            await monitor.wait_event("BALLOON_CHANGE", {})
        assert sealed.checksum(template.ram) == before
        async with forge.fork(**settings) as machine:
            assert machine.warm
            assert await sh(machine, "echo fine") == "fine"

    run(story())


def test_a_sealed_file_refuses_what_an_open_one_allows() -> None:
    """The control of the test above: without the seal a hole is punched."""
    import ctypes  # noqa: PLC0415 - Python has no name for this call

    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    punch = 0x02 | 0x01
    for sealing, answer in ((False, 0), (True, -1)):
        descriptor = sealed.create("file", 4096)
        os.pwrite(descriptor, b"content", 0)
        if sealing:
            sealed.seal(descriptor)
        assert libc.fallocate(descriptor, punch, 0, 4096) == answer
        assert (os.pread(descriptor, 7, 0) == b"content") is sealing
        os.close(descriptor)


def test_a_machine_that_cannot_be_saved_says_why_and_is_tried_once(
    forge: Forge,
) -> None:
    memory = "memory-backend-ram,id=shm,size=1M,share=on"
    device = "ivshmem-plain,memdev=shm,master=off"
    arguments = ["-object", memory, "-device", device]
    settings: dict[str, Any] = {**forge.tiny(), "qemu_args": arguments}

    async def story() -> None:
        warmth = await forge.warm(**settings)
        assert "ivshmem" in warmth.reason
        assert not warmth.digest
        machines = len(list(forge.lab.folder.glob("artifacts-*/*-console.log")))
        assert await forge.warm(**settings) == warmth
        assert machines == len(list(forge.lab.folder.glob("artifacts-*/*-console.log")))
        async with forge.fork(**settings) as machine:
            assert not machine.warm

    run(story())


def test_a_drive_of_its_own_or_a_changed_medium_is_not_forked(forge: Forge) -> None:
    """A fork would go back in time, and what it knows of these would be wrong."""
    image = forge.lab.folder / "own.img"
    image.write_bytes(bytes(1 << 20))

    async def insert(machine: Machine) -> None:
        await machine.capability(Media).insert(image, None)

    async def story() -> None:
        drive = ["-drive", f"if=virtio,format=raw,file={image}"]
        own = await forge.warm(**forge.tiny(), qemu_args=drive)
        assert "a drive of its own" in own.reason
        changed = await forge.warm(prepared(insert, "medium"), **forge.tiny())
        assert "changed the medium" in changed.reason
        read = ["-drive", f"if=virtio,format=raw,readonly=on,file={image}"]
        assert (await forge.warm(**forge.tiny(), qemu_args=read)).digest

    run(story())


def test_a_fork_that_fails_boots_and_a_bad_template_is_given_up(forge: Forge) -> None:
    async def story() -> None:
        warmth = await forge.warm(guest="tiny-linux")
        good = forge.template(warmth.digest)
        garbage = sealed.create("state", 4096)
        forge.driver.warm_templates[warmth.digest] = replace(good, state=garbage)
        for _ in range(2):
            async with forge.fork(guest="tiny-linux") as machine:
                assert not machine.warm
                assert await sh(machine, "echo fine") == "fine"
        told = [event.text for event in forge.lab.events if isinstance(event, LogLine)]
        assert sum("it boots instead" in text for text in told) == 2
        notices = [e.text for e in forge.lab.events if isinstance(e, Notice)]
        assert any("given up" in text for text in notices)
        assert list(forge.driver.templates(forge.cache)) == []
        assert (await forge.warm(guest="tiny-linux")).made

    run(story())


def test_a_fork_restarts_and_starts_again_as_any_machine(forge: Forge) -> None:
    async def story() -> None:
        await forge.warm(guest="tiny-linux")
        async with forge.fork(guest="tiny-linux") as machine:
            await sh(machine, "echo x >/tmp/x")
            await machine.capability(Power).reboot()
            assert await sh(machine, "ls /tmp/x 2>/dev/null || echo gone") == "gone"
            await machine.capability(Power).destroy()
            await machine.capability(Power).start()
            assert await sh(machine, "echo up") == "up"

    run(story())


@pytest.mark.parametrize("harm", ["cut the memory", "flip the state", "no manifest"])
def test_a_damaged_template_is_made_again(forge: Forge, harm: str) -> None:
    tiny = forge.tiny()

    async def story() -> None:
        first = await forge.warm(**tiny)
        forge.driver.cool()
        (folder,) = (info.folder for info in forge.driver.templates(forge.cache))
        if harm == "cut the memory":
            os.truncate(folder / "ram", 16 << 20)
        elif harm == "flip the state":
            content = bytearray((folder / "state").read_bytes())
            content[len(content) // 2] ^= 1
            (folder / "state").write_bytes(content)
        else:
            (folder / "manifest.json").write_text("{")
        again = await forge.warm(**tiny)
        assert again.made
        assert again.digest == first.digest
        async with forge.fork(**tiny) as machine:
            assert machine.warm
        (info,) = forge.driver.templates(forge.cache)
        assert not info.trouble

    run(story())


def test_two_processes_make_one_template_once(forge: Forge) -> None:
    """The second waits for the first and finds what it made."""
    tiny = forge.tiny()

    async def story() -> None:
        other = Forge(lab=forge.lab, cache=forge.cache)
        both = await asyncio.gather(forge.warm(**tiny), other.warm(**tiny))
        assert sorted(warmth.made for warmth in both) == [False, True]
        assert both[0].digest == both[1].digest
        (info,) = forge.driver.templates(forge.cache)
        assert info.busy
        other.driver.cool()
        forge.driver.cool()
        (info,) = forge.driver.templates(forge.cache)
        assert not info.busy

    run(story())


def test_where_the_cache_cannot_be_written_forks_serve_one_run(forge: Forge) -> None:
    (forge.cache / "templates").write_text("in the way")
    tiny = forge.tiny()

    async def story() -> None:
        warmth = await forge.warm(**tiny)
        assert warmth.made
        notices = [e.text for e in forge.lab.events if isinstance(e, Notice)]
        assert any("not kept" in text for text in notices)
        async with forge.fork(**tiny) as machine:
            assert machine.warm
        assert list(forge.driver.templates(forge.cache)) == []

    run(story())
