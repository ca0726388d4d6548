"""The table of keys agrees with QEMU's own list, and with what a guest receives."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.keys import KEYS, NAMES
from vmsuite.ports import Input, KeyPress, Machine, Shell
from vmsuite.testing.contracts import standing

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

QEMU = shutil.which("qemu-system-x86_64")


def schema_of_qmp(qemu: str) -> list[dict[str, Any]]:
    commands = ("qmp_capabilities", "query-qmp-schema", "quit")
    asked = "".join(json.dumps({"execute": name}) + "\n" for name in commands)
    said = subprocess.run(
        [qemu, "-machine", "none", "-display", "none", "-nodefaults", "-qmp", "stdio"],
        input=asked,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    answers = [json.loads(line).get("return") for line in said.splitlines()]
    return next(answer for answer in answers if isinstance(answer, list))


@pytest.mark.skipif(QEMU is None, reason="QEMU is not installed")
def test_every_key_is_a_qkeycode_and_every_qkeycode_is_known() -> None:
    enums = [
        set(entity["values"])
        for entity in schema_of_qmp(str(QEMU))
        if entity["meta-type"] == "enum"
    ]
    (codes,) = [values for values in enums if "grave_accent" in values]
    assert set(KEYS) <= codes
    assert codes - set(NAMES) == {"unmapped"}


HEADER = Path("/usr/include/linux/input-event-codes.h")
EVENT = struct.Struct("<qqHHi")
KEYBOARD = """
for dir in /sys/class/input/event*; do
    case $(cat "$dir/device/name") in *"Virtio Keyboard"*) node=${dir##*/} ;; esac
done
cat "/dev/input/$node" >/tmp/keys 2>/dev/null </dev/null &
"""


async def pressed(machine: Machine) -> list[tuple[int, int]]:
    """Press every key of the table; return codes and values as the guest got them."""
    shell = machine.capability(Shell)
    await shell.execute(("sh", "-c", KEYBOARD))
    await machine.capability(Input).press([KeyPress((key,)) for key in KEYS])
    while True:
        raw = await shell.get_file("/tmp/keys")
        events = EVENT.iter_unpack(raw[: len(raw) - len(raw) % EVENT.size])
        keys = [(code, value) for *_, kind, code, value in events if kind == 1]
        if len(keys) >= 2 * len(KEYS):
            return keys
        await asyncio.sleep(0.05)


@pytest.mark.skipif(not HEADER.exists(), reason="linux-libc-dev is not installed")
def test_a_guest_receives_every_key_under_its_evdev_name(lab: Lab) -> None:
    numbers = dict(re.findall(r"#define\s+(KEY_\w+)\s+(0x\w+|\d+)", HEADER.read_text()))
    codes = {int(number, 0): name for name, number in reversed(numbers.items())}
    with standing(lab.opening(guest="tiny-linux", keyboard="virtio")) as stand:
        seen = stand.run(pressed(stand.machine), limit=30)
    expected = [int(numbers[key.evdev], 0) for key in KEYS.values()]
    assert [codes[code] for code, value in seen if value == 1] == [
        codes[code] for code in expected
    ]
    assert [code for code, value in seen if value == 0] == expected
