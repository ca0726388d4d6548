"""Knows what a Linux guest gets when a key of QEMU's virtual keyboards is pressed.

QEMU has no code for some keys on its PS/2 and USB keyboards and sends nothing then, and
its USB keyboard sends another key's code for a few. A virtio keyboard delivers all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

from vmsuite.keys.names import find_key
from vmsuite.keys.table import KEYS

KEYBOARDS = ("ps2", "usb", "virtio")
"""The keyboards that QEMU's machines can have."""

SINCE: Mapping[str, str] = MappingProxyType(
    {f"f{number}": "8.0" for number in range(13, 25)}
)
"""The release of QEMU that some keys came with; all others are older than 7.0."""

RELEASED_AT_ONCE: Mapping[str, frozenset[str]] = MappingProxyType(
    {"ps2": frozenset({"pause"}), "usb": frozenset(), "virtio": frozenset()}
)
"""Keys whose press is the release, too; nothing is sent when they are let go of."""

UNSURE_IN_BROWSERS = frozenset(
    ("menu", "lf", "props", "power", "sleep", "hiragana", "computer", "mediaselect")
)
"""Keys for which not every browser on Linux has a DOM code; else it says none."""

# For these nothing arrives, or another key. QEMU 7.2 and 10.0 agree.
_PS2 = """
menu again props undo front copy open paste find cut lf help lang1 lang2
f16 f17 f18 f19 f20 f21 f22 f23 f24
"""
_USB = """
menu stop again props undo front copy paste find cut help hiragana sleep wake
audionext audioprev audiostop audioplay mediaselect mail calculator computer
ac_home ac_back ac_forward ac_refresh ac_bookmarks lang1 lang2
f16 f17 f18 f19 f21 f22 f23 f24
"""
_USB_OTHERS = """
open=f24 lf=f15 kp_comma=meta_r kp_equals=f13 f13=f17 f14=f18 f15=f19 f20=f14
"""


def _arrivals(nothing: str, others: str = "") -> Mapping[str, int | None]:
    found: dict[str, int | None] = {key.qcode: key.code for key in KEYS.values()}
    found |= dict.fromkeys(nothing.split())
    for pair in others.split():
        qcode, other = pair.split("=")
        found[qcode] = KEYS[find_key(other)].code
    return MappingProxyType(found)


_ARRIVALS = {
    "ps2": _arrivals(_PS2),
    "usb": _arrivals(_USB, _USB_OTHERS),
    "virtio": _arrivals(""),
}


def arrival(qcode: str, keyboard: str) -> int | None:
    """Return evdev's number of what a Linux guest gets for a key of a keyboard.

    None where the keyboard cannot deliver the key. Raises KeyError for a key or a
    keyboard that there is not.
    """
    return _ARRIVALS[keyboard][qcode]


@cache
def undeliverable(keyboard: str) -> frozenset[str]:
    """Return the keys (QKeyCodes) that a keyboard cannot deliver as themselves.

    Those for which a guest gets nothing, or another key. Raises KeyError for a keyboard
    that there is not.
    """
    codes = _ARRIVALS[keyboard]
    return frozenset(qcode for qcode in KEYS if codes[qcode] != KEYS[qcode].code)


def is_magic_sysrq(keys: Iterable[str]) -> bool:
    """Tell whether Linux keeps a chord (QKeyCodes) to itself: Alt and Print.

    It holds Print back until Alt is let go of, and tells the guest's programs of both
    out of their order or, if another key was pressed meanwhile, of neither of those.
    """
    held = set(keys)
    return not held.isdisjoint(("alt", "alt_r")) and not held.isdisjoint(
        ("print", "sysrq")
    )
