"""Lets go of what is down when input ends, for whatever reason it does."""

from __future__ import annotations

from collections.abc import Sequence

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.ports import Input


async def let_go(
    keyboard: Input, keys: Sequence[str], buttons: Sequence[str] = ()
) -> None:
    """Release keys and buttons, if the machine takes input at all.

    One that is paused or off does not; that is why the input ended, and what ended it
    is to be told, not this. Whoever types next finds what is still held, and lets go.
    """
    if not keys and not buttons:
        return
    try:
        await keyboard.release(keys, buttons)
    except (CheckFailed, Unreachable):
        return
