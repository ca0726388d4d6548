"""What a suite may say of a fake machine: how it behaves, and how it fails."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from vmsuite.kinds import Duration
from vmsuite.testing.fake.input_settings import FakeInputSettings


class Answer(BaseModel):
    """What the guest does when it is told to run a command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stdout: str = Field(default="", description="What it prints.")
    stderr: str = Field(default="", description="What it complains.")
    exit_code: int = Field(default=0, description="How it ends.")
    signal: int | None = Field(default=None, description="The signal that ends it.")
    delay: Duration = Field(default=0.0, description="How long it takes.")
    hangs: bool = Field(default=False, description="Whether it never ends.")
    crashes: bool = Field(default=False, description="Whether the kernel panics.")
    kills: bool = Field(
        default=False, description="Whether the machine's process ends."
    )
    unreachable: bool = Field(
        default=False, description="Whether the agent does not answer."
    )


def _to_answers(value: Any) -> Any:
    """Accept a text for its stdout, one answer, or several in turn."""
    answers = value if isinstance(value, list) else [value]
    return [{"stdout": one} if isinstance(one, str) else one for one in answers]


Answers = Annotated[
    list[Answer], BeforeValidator(_to_answers, json_schema_input_type=Any)
]
"""Answers to the first, second … run of a command; the last one goes on for ever."""


def _to_behaviours(value: Any) -> Any:
    return dict.fromkeys(value, "echo") if isinstance(value, list) else value


Behaviour = Literal["echo", "silent"] | dict[str, str]
"""What the guest's end does: send all back, nothing, or answer known lines."""
Channels = Annotated[
    dict[str, Behaviour], BeforeValidator(_to_behaviours, json_schema_input_type=Any)
]
Forwards = Annotated[
    dict[int, Literal["echo", "silent"]],
    BeforeValidator(_to_behaviours, json_schema_input_type=Any),
]


def _check_screen(value: Any) -> Any:
    if not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", str(value)):
        raise ValueError(f"{value!r} is not a screen's size such as 1024x768")
    return value


class FakeSettings(BaseModel):
    """A fake machine. Everything is well unless it says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reset: Literal["fork", "boot", "none"] = Field(
        default="boot", description="How each case gets its machine."
    )
    layout: str = Field(default="us", description="The guest's keyboard layout.")
    keyboard: Literal["ps2", "usb", "virtio"] = Field(
        default="ps2", description="The keyboard that typed keys come from."
    )
    pointer: Literal["ps2", "usb-tablet", "virtio-tablet"] = Field(
        default="usb-tablet", description="The pointing device."
    )
    screen: Annotated[str, BeforeValidator(_check_screen)] = Field(
        default="1024x768", description="The screen's size in pixels."
    )
    input: FakeInputSettings = Field(
        default_factory=FakeInputSettings,
        description="How input reaches the guest, and what of it goes wrong.",
    )
    lacks: list[str] = Field(
        default_factory=list[str],
        description="Capabilities it does not offer, such as Screen.",
    )
    facts: dict[str, str] = Field(
        default_factory=dict[str, str], description="What it tells of itself."
    )

    cannot_fork: str = Field(
        default="", description="Why no template can be made of it."
    )
    saving_fails: str = Field(
        default="", description="What goes wrong when it, or its template, is saved."
    )
    forks: Literal["ok", "never", "panic", "dies"] = Field(
        default="ok", description="What becomes of it when it is forked."
    )

    trouble: str = Field(
        default="", description="What the driver finds wrong with it in planning."
    )
    start_fails: str = Field(
        default="", description="Why its process cannot be started."
    )
    boots: Literal["ok", "never", "panic", "dies"] = Field(
        default="ok", description="What becomes of it when it is powered on."
    )
    boot_time: Duration = Field(default=0.0, description="Until its guest is ready.")
    boot_timeout: Duration = Field(
        default=60.0, description="After which it is given up."
    )
    crash_after: Duration | None = Field(
        default=None, description="The kernel panics so long after it is ready."
    )
    dies_after: Duration | None = Field(
        default=None, description="Its process ends so long after it is ready."
    )
    hides_status: bool = Field(
        default=False,
        description="Its monitor never says whether it is on.",
    )
    ignores_shutdown: bool = Field(
        default=False, description="Whether the guest does not power off when asked."
    )

    console: list[str] = Field(
        default_factory=lambda: ["Linux version 6.1.0-fake", "fake login:"],
        description="Lines that its console says while it boots.",
    )
    serial: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="What its console says to a line typed into it.",
    )
    shell: Literal["table", "host"] = Field(
        default="table",
        description=(
            "Where commands run that 'commands' does not know: nowhere, "
            "or really, on this host."
        ),
    )
    commands: dict[str, Answers] = Field(
        default_factory=dict[str, list[Answer]],
        description="What commands do, by their text as the guest's shell gets it.",
    )
    files: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Files the guest has from the start.",
    )
    qmp: dict[str, Any] = Field(
        default_factory=dict[str, Any],
        description="What further commands of its monitor return.",
    )
    qga: dict[str, Any] = Field(
        default_factory=dict[str, Any],
        description="What further commands of its agent return.",
    )
    channels: Channels = Field(
        default_factory=dict[str, Behaviour],
        description="Its virtio-serial channels; a list of names makes them echo.",
    )
    forwards: Forwards = Field(
        default_factory=dict[int, Literal["echo", "silent"]],
        description="Its forwarded ports; a list of them makes them echo.",
    )

    @property
    def size(self) -> tuple[int, int]:
        """Return the screen's width and height."""
        width, height = self.screen.split("x")
        return int(width), int(height)
