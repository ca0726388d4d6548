"""Knows every key by every name and number that people and devices have for it.

A key's own name is its QKeyCode, the name QEMU gives it. The same key is found by its
evdev name (``KEY_ENTER``), its DOM code (``Enter``), the names people use every day
(``return``), and its numbers (``evdev:28``, ``usb:0x28``, ``set1:1c``). Case does not
matter. Which of them a virtual keyboard can deliver, and what the guest then gets, is
known, too.
"""

from vmsuite.keys.arrivals import (
    KEYBOARDS,
    RELEASED_AT_ONCE,
    SINCE,
    UNSURE_IN_BROWSERS,
    arrival,
    is_magic_sysrq,
    undeliverable,
)
from vmsuite.keys.names import NAMES, find_key, key_of_dom, key_of_evdev
from vmsuite.keys.table import KEYS, MODIFIERS, Key

__all__ = [
    "KEYBOARDS",
    "KEYS",
    "MODIFIERS",
    "NAMES",
    "RELEASED_AT_ONCE",
    "SINCE",
    "UNSURE_IN_BROWSERS",
    "Key",
    "arrival",
    "find_key",
    "is_magic_sysrq",
    "key_of_dom",
    "key_of_evdev",
    "undeliverable",
]
