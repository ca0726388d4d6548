"""Puts environment and folder into a command, so that it runs as is under any shell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vmsuite.errors import CheckFailed

_IN_FOLDER = 'cd -- "$1" && shift && exec "$@"'


def wrapped(
    argv: Sequence[str], env: Mapping[str, str] | None, cwd: str | None
) -> tuple[str, ...]:
    """Return words that run argv with these variables added and in this folder.

    Nothing of it is expanded or split. Raises CheckFailed for what no program can be
    given: no words at all, or a NUL character.
    """
    words = tuple(argv)
    if not words:
        raise CheckFailed("a command needs at least the name of a program")
    for text in (*words, *(env or {}), *(env or {}).values(), cwd or ""):
        if "\0" in text:
            raise CheckFailed(f"{text[:40]!r}: no argument can hold a NUL character")
    if cwd is not None:
        words = ("sh", "-c", _IN_FOLDER, "sh", cwd, *words)
    elif env and "=" in words[0]:  # env would take it for a variable
        words = ("sh", "-c", 'exec "$@"', "sh", *words)
    if env:
        words = ("env", *(f"{key}={value}" for key, value in env.items()), *words)
    return words
