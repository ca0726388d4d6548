"""What contract tests of observers ask again and again of a log and of arming."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from vmsuite.ports import (
    KERNEL,
    Armed,
    GuestDevice,
    Input,
    InputSeen,
    Machine,
    Observer,
)
from vmsuite.testing.contracts.injecting import stroke
from vmsuite.testing.contracts.stand import Stand

T = TypeVar("T")

Story = Callable[[Observer, Machine], Awaitable[T]]

CAPS_LIGHT = 1
"""LED_CAPSL."""


async def armed_story(stand: Stand, story: Story[T]) -> T:
    """Arm the machine's observer, then let the story happen."""
    observer = stand.capability(Observer)
    await observer.arm()
    return await story(observer, stand.machine)


async def strike(observer: Observer, machine: Machine, key: str) -> None:
    """Press and release a key and wait until its observer has seen that."""
    mark = observer.log.mark()
    await machine.capability(Input).inject(stroke(key))
    await keys_come(observer, mark, 2)


async def keys_come(observer: Observer, mark: int, count: int) -> None:
    """Wait until so many presses and releases have come after a mark."""
    while sum(one.kind == "key" for one in seen_since(observer, mark)) < count:
        await observer.log.more(observer.log.mark())


def seen_since(observer: Observer, mark: int) -> list[InputSeen]:
    """Return what the kernel saw and its observer told, without keys that repeat."""
    return [
        one
        for one in observer.log.since(mark)
        if one.layer == KERNEL and not (one.kind == "key" and one.value == 2)
    ]


def keyboards(armed: Armed) -> list[GuestDevice]:
    """Return the keyboards among what is armed."""
    return [device for device in armed.devices if device.keyboard]


def held(armed: Armed) -> set[int]:
    """Return the keys and buttons that are down on any device."""
    return {code for device in armed.devices for code in device.held}


def lit(armed: Armed) -> set[int]:
    """Return the lights that are on on any keyboard."""
    return {light for device in keyboards(armed) for light in device.lit}


async def told_otherwise(observer: Observer, was: set[int]) -> None:
    """Wait until other lights are on; no event tells of that."""
    while lit(await observer.arm()) == was:  # noqa: ASYNC110 - it can only be asked
        await asyncio.sleep(0.01)
