"""Steps of both forms: typed ones stay, nested actions and conditions are unfolded."""

from __future__ import annotations

from dataclasses import dataclass

from vmsuite.documents import LocatedDict, LocatedList, derive
from vmsuite.model import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class _Native:
    """What a nested action is called here."""

    type: str
    second: str = ""
    """The key that says more: ``action`` or ``condition``."""
    value: str = ""
    verifies: bool = False
    """Whether such a step takes ``verify`` itself."""

    @property
    def judges(self) -> bool:
        """Whether it is a condition to verify."""
        return self.type == "verify"


_ACTIONS = {
    atp: _Native(
        type="virtualization_action", second="action", value=native, verifies=True
    )
    for atp, native in (
        ("send_key", "send_keyboard"),
        ("send_text", "send_keyboard"),
        ("mouse_click", "send_mouse_click"),
        ("exec_command", "execute_command"),
    )
}


def native_step(step: Json) -> Json:
    """Return a step of either form as the suite language writes it."""
    if not isinstance(step, LocatedDict):
        return step
    action = step.get("action")
    if isinstance(action, LocatedDict) and "type" not in step:
        native = _native(action.get("type"))
        if native is not None:
            step = _unfolded_action(step, action, native)
    condition = step.get("condition")
    if step.get("type") == "verify" and isinstance(condition, LocatedDict):
        step = _unfolded_condition(step, condition)
    steps = step.get("steps")
    if isinstance(steps, LocatedList):
        inner = steps.replaced(native_step(each) for each in steps)
        step = step.replaced({**step, "steps": inner})
    return step


def _native(name: Json) -> _Native | None:
    if not isinstance(name, str):
        return None
    if name in _ACTIONS:
        return _ACTIONS[name]
    for prefix, type_, second in (
        ("vdi_", "vdi_action", "action"),
        ("verify_", "verify", "condition"),
    ):
        if name.startswith(prefix) and name != prefix:
            value = name.removeprefix(prefix)
            return _Native(type=type_, second=second, value=value)
    return _Native(type=name)  # wait, custom, and what validation does not know


def _unfolded_action(
    step: LocatedDict, action: LocatedDict, native: _Native
) -> LocatedDict:
    made: LocatedDict = derive({}, step)
    for key, value in step.items():
        if key == "name":
            made.adopt("label" if "label" not in step else key, value, step, key)
        elif key == "verify" and isinstance(value, bool) and not native.verifies:
            continue  # any step of this form may say so; these have no input to verify
        elif key != "action":
            made.adopt(key, value, step, key)
    made.adopt("type", native.type, action, "type")
    if native.second:
        made.adopt(native.second, native.value, action, "type")
    for key, value in action.items():
        if key == "timeout_secs" and native.judges:
            _adopt_timeout(made, action)
        elif key != "type":
            made.adopt(_free(made, key, "action"), value, action, key)
    return made


def _adopt_timeout(made: LocatedDict, action: LocatedDict) -> None:
    """Let a condition's own time be the step's, unless the step's is shorter."""
    seconds = action["timeout_secs"]
    outer = made.get("timeout")
    if "timeout" not in made or (
        _is_number(seconds) and _is_number(outer) and seconds <= outer
    ):
        made.adopt("timeout", seconds, action, "timeout_secs")
    elif not (_is_number(seconds) and _is_number(outer)):
        made.adopt("timeout_secs", seconds, action, "timeout_secs")


def _unfolded_condition(step: LocatedDict, condition: LocatedDict) -> LocatedDict:
    if not isinstance(condition.get("condition"), str):
        return step
    made: LocatedDict = derive({}, step)
    for key, value in step.items():
        if key == "condition":
            made.adopt(key, condition[key], condition, key)
        else:
            made.adopt(key, value, step, key)
    for key, value in condition.items():
        if key != "condition":
            made.adopt(_free(made, key, "condition"), value, condition, key)
    return made


def _free(made: LocatedDict, key: str, folded: str) -> str:
    """Return the key, or, where it is taken, one that validation will name."""
    return f"{folded}.{key}" if key in made else key


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
