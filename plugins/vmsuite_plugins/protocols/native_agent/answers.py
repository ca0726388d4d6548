"""Reads what the agent's answers say; no more is believed than has to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vmsuite.errors import CheckFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who answers, and what it can do."""

    protocol: int
    features: frozenset[str]
    python: str
    kernel: str
    pid: int
    root: bool
    """Whether it may set the clock and reseed the pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """What a wake did in the guest."""

    clock_set: bool
    clock_error: str
    """Why the clock could not be set; empty too where nobody asked for it."""
    reseeded: bool
    """Whether the kernel draws random numbers from the new entropy from now on."""
    pool_error: str
    """Why not: ``mixed: …`` if the entropy will count at some later reseeding."""
    guest_ns: int
    """The guest's clock afterwards, nanoseconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How the guest's monotonic clock relates to the host's, both in seconds."""

    offset: float
    """To be added to the guest's time; it holds until the machine is paused."""
    error: float
    """The offset may be wrong by so much, to both sides."""


def hello(payload: bytes) -> Hello:
    """Return what the answer to a hello says. Raises CheckFailed if it is nonsense."""
    said = values(payload)
    return Hello(
        protocol=number("native agent hello", said, "protocol"),
        features=frozenset(said.get("features", "").split()),
        python=said.get("python", ""),
        kernel=said.get("kernel", ""),
        pid=number("native agent hello", said, "pid"),
        root=said.get("root") == "yes",
    )


def woken(who: str, payload: bytes) -> Woken:
    """Return what the answer to a wake says. Raises CheckFailed if it says nothing."""
    said = values(payload)
    clock, pool = said.get("clock", ""), said.get("pool", "")
    return Woken(
        clock_set=clock == "set",
        clock_error="" if clock in {"set", "left"} else clock[:500] or "not told",
        reseeded=pool == "reseeded",
        pool_error="" if pool == "reseeded" else pool[:500] or "not told",
        guest_ns=number(f"{who} wake", said, "now"),
    )


def values(payload: bytes) -> dict[str, str]:
    """Return what stands in lines, by name."""
    lines = payload.decode(errors="replace").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def number(question: str, said: Mapping[str, str], name: str) -> int:
    """Return a whole number that an answer tells. Raises CheckFailed if it is none."""
    text = said.get(name, "")
    # Neither a sign nor digits without end: a guest is not to be believed.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise CheckFailed(f"{question}: {name} is {text[:40]!r}")
    return int(text)
