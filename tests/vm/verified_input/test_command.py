"""Verified input through the command: what reports say of it, and what limits leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from vmsuite.testing.command_line import CommandLine

pytestmark = pytest.mark.vm

HELD = """
import fcntl, glob
for node in glob.glob("/dev/input/event*"):
    keys = fcntl.ioctl(open(node, "rb"), 0x80604518, bytes(96))
    assert not any(keys), (node, keys)
"""
SUITE = f"""
name: typing
timeout: 2m
machines:
  vm: {{guest: tiny-linux, keyboard: ps2}}
cases:
  - name: arrives
    steps:
      - {{type: virtualization_action, action: send_keyboard, text: "Hello, World", verify: true}}
      - {{type: verify, condition: latency_below, limit: 5s, at_least: 20}}
  - name: unheard
    steps:
      - type: virtualization_action
        action: execute_command
        command: >-
          echo -n manual > /sys/bus/serio/devices/serio0/bind_mode &&
          echo -n serio0 > /sys/bus/serio/drivers/atkbd/unbind
      - {{type: virtualization_action, action: send_keyboard, text: "Hello", verify: true}}
  - name: out-of-time
    steps:
      - type: virtualization_action
        action: send_key
        key: ctrl+shift+x
        hold: 1h
        verify: true
        timeout: 2s
    cleanup:
      - type: virtualization_action
        action: execute_command
        argv: [python3, -c, {json.dumps(HELD)}]
        timeout: 1m
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the suite once; return the run's folder."""
    cli = CommandLine(tmp_path_factory.mktemp("typing"))
    cli.write("suite.yaml", SUITE)
    ended = cli("suite.yaml", "--jobs", "2")
    assert ended.code == 1, ended.said
    (found,) = (cli.folder / "logs").glob("typing/2*")
    return found


def results(run_dir: Path) -> dict[str, dict[str, Any]]:
    cases = json.loads((run_dir / "results.json").read_text())["cases"]
    return {case["name"]: case for case in cases}


def junit(run_dir: Path) -> dict[str, Any]:
    suites = JUnitXml.fromfile(str(run_dir / "junit.xml"))
    return {case.name: case for suite in suites for case in suite}


def test_a_keyboard_without_driver_is_input_lost_in_both_reports(
    run_dir: Path,
) -> None:
    case = results(run_dir)["unheard"]
    assert case["status"] == "input_lost"
    assert "missing in the guest's kernel, first shift down" in case["message"]
    (failure,) = junit(run_dir)["unheard"].result
    assert failure.type == "input_lost"


def test_latency_of_what_arrived_is_in_both_reports(run_dir: Path) -> None:
    case = results(run_dir)["arrives"]
    assert case["status"] == "passed"
    assert "input.kernel" in json.dumps(case)
    suites: Any = JUnitXml.fromfile(str(run_dir / "junit.xml"))
    names = {prop.name for suite in suites for prop in suite.properties()}
    mine = {name for name in names if name.startswith("arrives.")}
    assert any("input.kernel" in name for name in mine), names


def test_a_step_that_runs_out_of_time_leaves_no_key_down(run_dir: Path) -> None:
    """Its cleanup looks for keys that are down, from inside the guest."""
    case = results(run_dir)["out-of-time"]
    assert case["status"] == "timeout"
    assert "cleanup" not in case["message"]
