"""The guest web-kiosk: a real browser gets what is typed, or the step says it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vmsuite_plugins.drivers.qemu.pictures import png_size

pytestmark = [pytest.mark.vm, pytest.mark.full]

ROOT = Path(__file__).parents[2]
RUN_SUITE = str(Path(sys.executable).with_name("run-suite"))
MACHINE = "{guest: web-kiosk, cpus: 2, keyboard: virtio, pointer: virtio-tablet}"


def run(folder: Path, suite: str, code: int) -> tuple[dict[str, Any], Path]:
    """Run a suite; return its cases by name, and its run's folder."""
    command = [RUN_SUITE, suite, "--log-dir", str(folder), "--timeout-factor", "3"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    (found,) = folder.glob("*/2*/results.json")
    cases = json.loads(found.read_text())["cases"]
    return {case["name"]: case for case in cases}, found.parent


def test_the_suite_passes_in_forks_and_leaves_pictures(tmp_path: Path) -> None:
    cases, folder = run(tmp_path, "suites/web-kiosk", 0)
    assert {case["status"] for case in cases.values()} == {"passed"}
    journal = (folder / "journal.jsonl").read_text().splitlines()
    ready = [
        event
        for event in map(json.loads, journal)
        if event["event"] == "MachineChanged" and event.get("state") == "ready"
    ]
    assert len(ready) >= len(cases)
    assert all(event["facts"].get("template") for event in ready)
    pictures = list(folder.glob("artifacts/*/*.png"))
    assert len(pictures) >= 7
    assert {png_size(path.read_bytes()) for path in pictures} == {(800, 600)}


def case(name: str, trouble: str) -> str:
    """Return a case that makes trouble in the guest and types on."""
    return f"""
  - name: {name}
    steps:
      - {{type: virtualization_action, action: send_key, key: esc, verify: true}}
      - {{type: virtualization_action, action: execute_command, command: {json.dumps(trouble)}}}
      - {{type: virtualization_action, action: send_keyboard, text: "quite lost", verify: true}}
"""


# What says that a key arrived must be able to say that it did not.
TROUBLES = {
    "browser-hangs": "kill -STOP $(pidof WPEWebProcess)",
    "other-layout": "keyboard-layout fr",
    # QEMU then types at the PS/2 keyboard, which is there as well.
    "keyboards-unbound": "cd /sys/bus/virtio/drivers/virtio_input; for d in virtio*; "
    "do grep -qs Keyboard $d/input/input*/name && echo $d >unbind; done; "
    "echo serio0 >/sys/bus/serio/drivers/atkbd/unbind",
}


def test_a_browser_that_gets_other_input_or_none_is_no_pass(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    text = "".join(case(name, trouble) for name, trouble in TROUBLES.items())
    suite.write_text(
        f"name: kiosk-troubles\ntimeout: 5m\nmachines:\n  kiosk: {MACHINE}\n"
        f"cases:{text}"
    )
    cases, _ = run(tmp_path / "logs", str(suite), 1)
    outcomes = {
        name: (found["status"], found["message"]) for name, found in cases.items()
    }
    for name, layer in (("other-layout", "browser"), ("keyboards-unbound", "kernel")):
        status, message = outcomes[name]
        assert status == "input_lost", outcomes
        assert f"the guest's {layer}" in message, outcomes
    # Nobody knows what a page got that does not answer.
    status, message = outcomes["browser-hangs"]
    assert status == "error", outcomes
    assert "the page does not answer" in message, outcomes
