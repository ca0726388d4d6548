"""The shipped companions talk to a real guest, and notice when it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmsuite.locations import cache_dir
from vmsuite.model import Outcome
from vmsuite.registry import load_registry
from vmsuite.testing.lab import Lab, outcomes

pytestmark = pytest.mark.vm

SUITE = """
name: companions
machines:
  vm-001:
    driver: qemu
    guest: tiny-linux
    forwards: [7, 8]
    channels: [org.vmsuite.echo]
cases:
  - name: honest
    steps:
      - type: companion
        program: virtio-serial-peer
        args: ["--socket", "{{ machine.channel('org.vmsuite.echo') }}"]
      - type: virtualization_action
        action: execute_command
        command: >-
          (setsid sh -c 'exec cat <>/dev/virtio-ports/org.vmsuite.echo >&0'
          >/dev/null 2>&1 &)
      - type: companion
        program: tcp-echo
        args: ["--port", "{{ machine.forward(7) }}"]
      - type: virtualization_action
        action: execute_command
        command: "(setsid nc -ll -p 7 -e cat </dev/null >/dev/null 2>&1 &)"
  - name: liar
    steps:
      - type: virtualization_action
        action: execute_command
        command: "(setsid nc -ll -p 8 -e tr a b </dev/null >/dev/null 2>&1 &)"
      - type: companion
        program: tcp-echo
        args: ["--port", "{{ machine.forward(8) }}"]
      - {type: wait, duration: 10m}
"""


def test_bytes_are_echoed_by_a_guest_and_a_lie_is_noticed(tmp_path: Path) -> None:
    registry = load_registry()
    registry.guests["tiny-linux"].build(cache_dir(), print)
    lab = Lab(folder=tmp_path, registry=registry)
    run = lab.run(SUITE)
    assert outcomes(run) == {"honest": Outcome.PASSED, "liar": Outcome.FAILED}
    honest, liar = run.cases
    (log,) = lab.folder.glob("logs/*/*/cases/honest.log")
    for name in ("virtio-serial-peer", "tcp-echo"):
        said = f"[{name}] 102400 bytes sent, 102400 came back, all equal"
        assert said in log.read_text()
    assert "came back as 0x62, but 0x61 was sent" in liar.evidence
    assert liar.message == "companion 'tcp-echo' ended with exit code 1"
    assert honest.duration + liar.duration < 120
