"""Every combination of mainboard, keyboard and pointer works; disks stay untouched."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.errors import InputLost
from vmsuite.ports import (
    Input,
    KeyPress,
    Machine,
    Media,
    Network,
    PointerEvent,
    Power,
    Shell,
)
from vmsuite_plugins.drivers.qemu.firmware import find_uefi

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

EVENT = struct.Struct("<qqHHi")
KEY, ABSOLUTE, RELATIVE = 1, 3, 2
WATCH = """
for e in /dev/input/event*; do cat $e >/tmp/${e##*/} 2>/dev/null & done
for try in $(seq 100); do
    [ $(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c ' /dev/input/event') -ge \
      $(ls /dev/input/event* | wc -l) ] && exit
done
"""


async def run(machine: Machine, script: str) -> str:
    result = await machine.capability(Shell).execute(("sh", "-c", script))
    assert result.exit_code == 0, result
    return result.stdout


async def watch(machine: Machine) -> None:
    await run(machine, f"({WATCH}) >/dev/null 2>&1 </dev/null")


async def seen(machine: Machine, kind: int, count: int) -> list[tuple[int, int]]:
    """Return code and value of the events of a kind, once ``count`` have come."""
    found: list[tuple[int, int]] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            raw = await machine.capability(Shell).execute(
                ("sh", "-c", "cat /tmp/event* | od -An -v -tx1 | tr -d ' \n'")
            )
            data = bytes.fromhex(raw.stdout)
            found = [
                (code, value)
                for _, _, type_, code, value in EVENT.iter_unpack(
                    data[: len(data) - len(data) % EVENT.size]
                )
                if type_ == kind
            ]
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"machine": "q35", "keyboard": "usb", "pointer": "usb-tablet"},
        {"machine": "pc", "keyboard": "virtio", "pointer": "virtio-tablet"},
        {"machine": "pc", "keyboard": "ps2", "pointer": "ps2"},
    ],
    ids=lambda settings: "-".join(settings.values()),
)
def test_keys_and_moves_arrive_from_every_device(
    lab: Lab, settings: dict[str, Any]
) -> None:
    async def story() -> None:
        async with lab.open(guest="tiny-linux", network="none", **settings) as machine:
            await machine.ready()
            await watch(machine)
            hands = machine.capability(Input)
            await hands.press([KeyPress((key,)) for key in "vm"])
            keys = await seen(machine, KEY, 4)
            assert keys[:4] == [(47, 1), (47, 0), (50, 1), (50, 0)]
            if settings["pointer"] == "ps2":
                with pytest.raises(InputLost, match="uses no tablet"):
                    await hands.point([PointerEvent("move", 0.5, 0.5)])
                await hands.point([PointerEvent("shift", 7, 0)])
                assert (0, 7) in await seen(machine, RELATIVE, 1)
            else:
                await hands.point([PointerEvent("move", 0.5, 0.25)])
                moves = await seen(machine, ABSOLUTE, 2)
                assert moves == [(0, 16384), (1, 8192)]

    asyncio.run(story())


@pytest.mark.skipif(find_uefi() is None, reason="no UEFI firmware: install ovmf")
def test_a_guest_boots_from_uefi(lab: Lab) -> None:
    async def story() -> str:
        async with lab.open(
            guest="tiny-linux", firmware="uefi", network="none", boot_timeout=60
        ) as machine:
            await machine.ready()
            return await run(machine, "[ -d /sys/firmware/efi ] && echo uefi")

    before = find_uefi()
    assert before is not None
    untouched = hashlib.sha256(before.variables.read_bytes()).digest()
    assert asyncio.run(story()) == "uefi\n"
    assert hashlib.sha256(before.variables.read_bytes()).digest() == untouched


def test_disks_and_media_serve_the_guest_and_stay_untouched(lab: Lab) -> None:
    disk, iso = lab.folder / "a disk, with commas.img", lab.folder / "one.iso"
    disk.write_bytes(b"original".ljust(1 << 20, b"\0"))
    iso.write_bytes(b"from the first".ljust(1 << 20, b"\0"))
    other = lab.folder / "two.iso"
    other.write_bytes(b"from the second".ljust(1 << 20, b"\0"))

    async def story() -> None:
        async with lab.open(
            guest="tiny-linux", network="none", disks=[disk.name], iso=iso.name
        ) as machine:
            await machine.ready()
            assert await run(machine, "head -c 8 /dev/vda") == "original"
            await run(machine, "printf changed! | dd of=/dev/vda conv=notrunc; sync")
            assert await run(machine, "head -c 14 /dev/sr0") == "from the first"
            media = machine.capability(Media)
            await media.insert(other, None)
            # The first look after a change may fail: that is how drives say it.
            again = "head -c 15 /dev/sr0 || head -c 15 /dev/sr0"
            assert await run(machine, again) == "from the second"
            await media.eject(None, force=True)
            power = machine.capability(Power)
            await power.destroy()
            await power.start()
            assert await run(machine, "head -c 8 /dev/vda") == "changed!"

    asyncio.run(story())
    assert disk.read_bytes().startswith(b"original")
    names = [path.name for path in lab.artifact_dir.iterdir()]
    assert names == ["vm-001-console.log"]


@contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    """Listen on the host's loopback; yield the port and who came."""
    came: list[str] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                came.append("somebody")
                connection.sendall(b"host\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], came
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("network", ["isolated", "user"])
def test_a_guest_reaches_the_hosts_loopback_only_if_the_suite_says_so(
    lab: Lab, network: str
) -> None:
    async def story(port: int) -> str:
        settings: dict[str, Any] = {"network": network, "forwards": [7, 9]}
        async with lab.open(guest="tiny-linux", **settings) as machine:
            await machine.ready()
            await forwarded(machine)
            return await run(machine, f"nc -w 2 10.0.2.2 {port} </dev/null || true")

    with listening() as (port, came):
        said = asyncio.run(story(port))
    assert (said, came) == (("host\n", ["somebody"]) if network == "user" else ("", []))


async def forwarded(machine: Machine) -> None:
    """Prove that the host reaches a port of the guest, pulled cable or not."""
    network = machine.capability(Network)
    assert network.forward(7) != network.forward(9)
    await run(
        machine,
        "(nc -l -p 7 -e echo guest) >/dev/null 2>&1 </dev/null & "
        "until cat /proc/net/tcp* | grep -q ':0007 '; do :; done",
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", network.forward(7))
    assert await reader.read() == b"guest\n"
    writer.close()
