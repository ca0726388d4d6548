"""Builds a guest once, whoever asks, and says what keeps this host from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vmsuite.errors import PlatformError
from vmsuite_plugins.guests.image_store import ImageStore, StoredImage


def build_once(
    guest: str,
    store: ImageStore,
    recipe: str,
    missing: Callable[[], Sequence[str]],
    build: Callable[[], StoredImage],
    log: Callable[[str], None],
) -> StoredImage:
    """Return the stored image of a recipe's digest; ``build`` it if there is none.

    Only one process builds at a time. Raises PlatformError with what the failing tool
    said, with all that the host lacks, or for want of room.
    """
    try:
        with store.locked(lambda: log(f"waiting for another build of {guest}")):
            found = store.find(recipe)
            if found is not None:
                return found
            lacking = missing()
            if lacking:
                raise PlatformError(
                    f"this host cannot build {guest}: {'; '.join(lacking)}",
                    hint="run-suite doctor lists what is missing",
                )
            return build()
    except OSError as error:
        raise PlatformError(
            f"{store.folder}: cannot build {guest}: {error}",
            hint="make room there, or set VMSUITE_CACHE to another folder",
        ) from error
