"""An older verifier in a guest takes part in the closed loop, alone or as a layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.errors import InputLost, Unsupported
from vmsuite.ports import KERNEL, VERIFIER, Input, KeyPress, Machine, Observer, Shell
from vmsuite.testing.contracts import standing
from vmsuite_plugins.input.loop.keyboard import Outcome, type_closed
from vmsuite_plugins.input.loop.loop import Loop
from vmsuite_plugins.input.loop.pointer import ClosedPointer

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

AGENT = Path(__file__).with_name("older_verifier.py")
SETTINGS: dict[str, Any] = {
    "guest": "tiny-linux",
    "keyboard": "ps2",
    "agents": ["verifier"],
    "reset": "boot",
}
START = """
for dir in /sys/class/input/event*; do
    case $(cat "$dir/device/name") in *"Set 2"*) node=${dir##*/} ;; esac
done
[ -e /tmp/older.log ] && exit
setsid python3 /tmp/older.py 10.0.2.100 8766 "/dev/input/$node" MISSED \\
    </dev/null >/tmp/older.log 2>&1 &
"""


async def typed(
    machine: Machine, keys: str, missed: str = "", *, both: bool
) -> Outcome:
    """Have an older verifier observe, and type."""
    shell = machine.capability(Shell)
    await shell.put_file(AGENT.read_bytes(), "/tmp/older.py", 0o755)
    await shell.execute(("sh", "-c", START.replace("MISSED", missed)))
    observer = machine.capability(Observer)
    armed = await observer.arm()
    assert armed.layers == (KERNEL, VERIFIER)
    alone = replace(armed, layers=(VERIFIER,))
    loop = Loop(input=machine.capability(Input), observer=observer, armed=alone)
    with pytest.raises(Unsupported, match="tells of no places"):
        ClosedPointer(loop)
    loop = replace(loop, armed=armed if both else alone)
    presses = [KeyPress((*["shift"] * key.isupper(), key.lower())) for key in keys]
    return await type_closed(loop, presses)


@pytest.mark.parametrize("missed", ["", pytest.param("b", marks=pytest.mark.full)])
def test_each_key_is_verified_by_the_older_agent(lab: Lab, missed: str) -> None:
    async def story(machine: Machine) -> None:
        for both in (False, True):
            outcome = await typed(machine, "aBca", missed, both=both)
            if missed:
                wrong = r"1 missing in the guest's verifier, first b down"
                with pytest.raises(InputLost, match=wrong):
                    outcome.verdict.check()
                return
            outcome.verdict.check()
            assert len(outcome.latency[VERIFIER]) == 5

    with standing(lab.opening(**SETTINGS)) as stand:
        stand.run(story(stand.machine), limit=60)
