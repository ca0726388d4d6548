"""Makes the guest's keyboard neutral: no key held, no lock on, and both confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from vmsuite.errors import InputLost
from vmsuite.keys import key_of_evdev
from vmsuite.ports import Armed, GuestDevice, Input, InputLog, KeyEvent, Observer

_WITHIN = 3.0
"""Seconds for a guest to release a key, or to switch a light."""

_QUIET = 0.1
"""Seconds without news after which a keyboard's queue is empty: USB is asked for each
of its keys every 8 ms."""
_BUTTONS = range(0x100, 0x160)
"""evdev's numbers of the buttons of mice, tablets and pads."""
_LOCKS = {0: "num_lock", 1: "caps_lock", 2: "scroll_lock"}
_TYPING_LOCKS = (0, 1)
"""Lights whose locks change what keys mean."""


async def neutral(
    keyboard: Input, observer: Observer, *, locks: bool, patience: float = _WITHIN
) -> tuple[Armed, Sequence[str]]:
    """Let go of whatever is held, and of Caps and Num Lock where ``locks`` says so.

    Returns what observes, and what had to be done, in words. The state is the one that
    the guest tells; a device without lights is taken at its word that it has none.

    Raises:
        InputLost: a key stays down, or a lock stays on.
        Unreachable: nothing observes.

    """
    armed = await observer.arm()
    if observer.log.unsettled:
        await _quiet(observer.log, patience)
        observer.log.unsettled = False
        armed = await observer.arm()
    done: list[str] = []
    keys = await _release_held(keyboard, armed)
    if _held(armed.devices):
        armed = await _until(observer, lambda armed: not _held(armed.devices), patience)
        left = _held(armed.devices)
        if left:
            names = ", ".join(key_of_evdev(code) or str(code) for code in left)
            raise InputLost(
                f"the guest says that {names} is held, and letting go did not help",
                hint="something else presses it, or its release was lost; restart it",
            )
        done.append(f"let go of {', '.join(keys)}, which was held")
    if locks:
        for light in _TYPING_LOCKS:
            if light in _lit(armed.devices):
                armed = await _unlock(keyboard, observer, light, patience)
                done.append(f"turned {_LOCKS[light]} off")
    if done:
        await observer.settle()  # nobody is to take for his own what was pressed here
    return armed, done


async def _quiet(log: InputLog, patience: float) -> None:
    """Wait until nothing comes any more, or ``patience`` is over."""
    deadline = asyncio.get_running_loop().time() + patience
    while asyncio.get_running_loop().time() < deadline:
        try:
            async with asyncio.timeout(_QUIET):
                await log.more(log.mark())
        except TimeoutError:
            return


async def leave_neutral(keyboard: Input, observer: Observer, patience: float) -> None:
    """Let go of whatever is held, once what went wrong has come to its end.

    Raises Unreachable if nothing observes any more.
    """
    await _quiet(observer.log, patience)
    armed = await observer.arm()
    if await _release_held(keyboard, armed):
        await _until(observer, lambda armed: not _held(armed.devices), patience)


async def _release_held(keyboard: Input, armed: Armed) -> Sequence[str]:
    """Let go of all keys that the guest says are held; return them."""
    held = map(key_of_evdev, _held(armed.devices))
    keys = [key for key in held if key is not None]
    if keys:
        await keyboard.release(keys)
    return keys


async def _unlock(
    keyboard: Input, observer: Observer, light: int, patience: float
) -> Armed:
    key = _LOCKS[light]
    await keyboard.inject([KeyEvent(key, True), KeyEvent(key, False)])
    # The light goes off when the key comes down: its release is still under way then.
    armed = await _until(
        observer,
        lambda armed: light not in _lit(armed.devices) and not _held(armed.devices),
        patience,
    )
    if light in _lit(armed.devices):
        raise InputLost(
            f"{key} is on in the guest, and pressing it did not turn it off: "
            "what is typed would be other than what was written"
        )
    return armed


async def _until(
    observer: Observer, fulfilled: Callable[[Armed], bool], patience: float
) -> Armed:
    """Ask until it is so, or ``patience`` is over; return what the guest said last."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    pause = 0.002
    while True:
        armed = await observer.arm()
        if fulfilled(armed) or loop.time() >= deadline:
            return armed
        # A light changes when the guest's kernel gets to it; no event need tell.
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.05)


def _held(devices: Sequence[GuestDevice]) -> list[int]:
    """Return the keys that are down; buttons may well be, as in a drag."""
    held = {code for device in devices for code in device.held}
    return sorted(code for code in held if code not in _BUTTONS)


def _lit(devices: Sequence[GuestDevice]) -> frozenset[int]:
    return frozenset(
        light for device in devices if device.keyboard for light in device.lit
    )
