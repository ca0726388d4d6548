"""The table of keys and QEMU's own list are the same."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from vmsuite.keys import KEYS, NAMES

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
