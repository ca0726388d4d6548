"""What a suite may say of a fake machine's input: its pace, its state, its losses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vmsuite.keys import find_key
from vmsuite.kinds import Duration

KeyName = Annotated[str, AfterValidator(find_key)]
"""A key by any of its names; what is kept is its QKeyCode."""
Number = Annotated[int, Field(ge=1)]
"""Which event: each key that goes down or comes up and each pointer event is one."""
Light = Literal["caps_lock", "num_lock", "scroll_lock"]
Layer = Literal["kernel", "browser"]
Blow = Literal["pause", "reset", "crash", "die", "unplug", "overflow", "gone"]


class FakeInputSettings(BaseModel):
    """How input reaches the guest, and what of it goes wrong.

    Events are counted from 1, from the machine's beginning, as they are injected;
    keys that are let go of to make the keyboard neutral do not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_time: Duration = Field(
        default=0.0, description="How long the guest takes for each event of a queue."
    )
    delay: Duration = Field(
        default=0.0, description="How long what the guest saw is on its way to us."
    )
    clock_error: Duration = Field(
        default=0.0, description="By how much the guest's times may be wrong."
    )
    patience: Duration = Field(
        default=0.2, description="How long an observer may be silent."
    )
    browser: bool = Field(
        default=False, description="Whether a page in the guest's browser observes too."
    )
    symbols: dict[KeyName, list[str]] = Field(
        default_factory=dict[str, list[str]],
        description=(
            "What the browser makes of keys where its layout is not that of a US "
            "keyboard: plain, with Shift, with AltGr, with both."
        ),
    )
    held: list[KeyName] = Field(
        default_factory=list[str], description="Keys that are down from the start."
    )
    lit: list[Light] = Field(
        default_factory=list[Light], description="Lights that are on from the start."
    )

    faulty: Layer = Field(
        default="kernel",
        description=(
            "The lowest layer that sees what 'loses', 'doubles', 'swaps', 'mistakes', "
            "'sticks' and 'foreign' do; those above see it too."
        ),
    )
    loses: list[Number] = Field(
        default_factory=list[int], description="Events that never arrive."
    )
    doubles: list[Number] = Field(
        default_factory=list[int], description="Events that arrive twice."
    )
    swaps: list[Number] = Field(
        default_factory=list[int],
        description="Events that arrive after the one that follows them.",
    )
    mistakes: dict[Number, str] = Field(
        default_factory=dict[int, str],
        description=(
            "Events that arrive as another key or button, named here; "
            "in a faulty browser, with another symbol."
        ),
    )
    sticks: list[KeyName] = Field(
        default_factory=list[str], description="Keys whose first release is lost."
    )
    foreign: dict[Number, KeyName] = Field(
        default_factory=dict[int, str],
        description="After an event: a key that somebody else presses and lets go.",
    )
    drift: tuple[float, float] = Field(
        default=(0.0, 0.0),
        description="How far right and down of each place a tablet's pointer ends up.",
    )
    untrusted: list[Number] = Field(
        default_factory=list[int],
        description="Events that a script in the browser's page made up.",
    )
    silent: Layer | None = Field(
        default=None, description="A layer whose observer never comes."
    )
    blows: dict[Number, Blow] = Field(
        default_factory=dict[int, Any],
        description=(
            "After an event: what happens to the machine, to its keyboard (unplug) "
            "or to the observer of the faulty layer (overflow, gone)."
        ),
    )
