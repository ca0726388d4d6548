"""The numbers that a Linux guest has for buttons, wheels and lights."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

BUTTONS: Mapping[str, int] = MappingProxyType(
    {"left": 0x110, "right": 0x111, "middle": 0x112, "side": 0x113, "extra": 0x114}
)
WHEELS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "wheel-up": (8, 1),
        "wheel-down": (8, -1),
        "wheel-right": (6, 1),
        "wheel-left": (6, -1),
    }
)
"""Axis (REL_WHEEL, REL_HWHEEL) and notches of each way a wheel turns."""
LIGHTS: Mapping[str, int] = MappingProxyType(
    {"num_lock": 0, "caps_lock": 1, "scroll_lock": 2}
)
"""LED_NUML, LED_CAPSL and LED_SCROLLL, by the key that switches them."""
