"""Wall-clock times as reports and folders show them."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp() -> str:
    """Return now in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
