"""Makes what is sent to a machine fit for the journal: secrets and bulk left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vmsuite.model import Json

_BULK = frozenset({"input-data", "buf-b64"})
"""Arguments in base64: they could hide a secret, and say nothing to a reader."""

_LONGEST = 1000


def masked(value: Json, mask: Callable[[str], str], key: str = "") -> Json:
    """Return a copy with every secret masked, bulk replaced by its size."""
    if isinstance(value, str):
        if key in _BULK:
            return f"<{len(value) * 3 // 4} bytes>"
        text = mask(value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    if isinstance(value, dict):
        return {mask(str(k)): masked(v, mask, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, mask, key) for item in value]
    return _plain(value)


def _plain(value: Any) -> Json:
    return value if isinstance(value, bool | int | float | None) else str(value)
