"""The table of keys says what others say: kernel, browser, noVNC, QEMU's data, xkb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

from vmsuite.keys import (
    KEYS,
    UNSURE_IN_BROWSERS,
    Key,
    find_key,
    key_of_dom,
    key_of_evdev,
)

FOLDER = Path(__file__).parent / "key_tables"
HEADER = Path("/usr/include/linux/input-event-codes.h")
XKB = Path("/usr/share/X11/xkb/keycodes/evdev")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What somebody else says of keys, by something that a key says itself."""

    said: Callable[[Key], set[str]]
    """All that it says of a key's number; empty where it does not know the key."""
    ours: Callable[[Key], str]
    changes: tuple[str, ...]
    """The fields of a key that it checks; wrong ones must be found."""
    knows: int
    """Of how many keys it says something, at least."""
    otherwise: Mapping[str, str] = field(default_factory=dict)
    """The keys of which it says something else, and why ours is right."""
    needs: Path | None = None


def rows(name: str) -> list[list[str]]:
    text = (FOLDER / f"{name}.tsv").read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()]


@cache
def table(name: str, of: int, value: int) -> dict[str, set[str]]:
    """Return the values of a column by the values of another."""
    found: dict[str, set[str]] = {}
    for row in rows(name):
        if "-" not in {row[of], row[value]}:
            found.setdefault(row[of], set()).add(row[value])
    return found


@cache
def linux(kind: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for which, number, code in rows("linux"):
        if which == kind:
            found.setdefault(number, set()).add(code)
    return found


def keymapdb(column: int) -> Callable[[Key], set[str]]:
    """By QKeyCode; F13 and the like had none yet, and are found as xkb's FK13."""

    def said(key: Key) -> set[str]:
        if key.qcode in table("keymapdb", 1, 0):
            return table("keymapdb", 1, column).get(key.qcode, set())
        return table("keymapdb", 5, column).get(f"FK{key.qcode[1:]}", set())

    return said


def by_dom(name: str, column: int) -> Callable[[Key], set[str]]:
    return lambda key: table(name, 0, column).get(key.dom, set())


@cache
def header() -> dict[str, str]:
    found = re.findall(r"#define\s+(KEY_\w+)\s+(0x\w+|\d+)", HEADER.read_text())
    return {name: str(int(number, 0)) for name, number in found}


@cache
def xkb() -> dict[str, str]:
    text = XKB.read_text()
    codes = dict(re.findall(r"^\s*<(.{1,4})>\s*=\s*(\d+);", text, re.MULTILINE))
    for alias, name in re.findall(
        r"^\s*alias\s*<(.{1,4})>\s*=\s*<(.{1,4})>;", text, re.MULTILINE
    ):
        codes.setdefault(alias, codes.get(name, ""))
    return {name: str(int(code) - 8) for name, code in codes.items() if code}


def xkb_code(key: Key) -> set[str]:
    names = keymapdb(5)(key) & xkb().keys()
    return {xkb()[name] for name in names}


def code(key: Key) -> str:
    return str(key.code)


def set1(key: Key) -> str:
    return bytes(key.set1).hex()


def usb(key: Key) -> str:
    return "" if key.usb is None else f"{key.usb:06x}"


ALONE = "that is what it sends while Alt or Ctrl is held, ours what it sends alone"
MICROSOFT = "Microsoft's numbers; QEMU's and Linux's are others"
RESERVED = "past the end of page 7; Linux knows the standard's usage, too"
SUN = "that of a multimedia keyboard; ours is that of Sun's, whose keys these are"
TAKEN = "Linux makes another key of this usage, and of none this key"
SECOND = "its number leads to the first key that has it"


def because(reason: str, keys: str) -> dict[str, str]:
    return dict.fromkeys(keys.split(), reason)


SOURCES = {
    "linux-libc-dev": Source(
        said=lambda key: {header()[key.evdev]} if key.evdev in header() else set(),
        ours=code,
        changes=("code", "evdev"),
        knows=161,
        needs=HEADER,
    ),
    "xkb-data": Source(
        said=xkb_code, ours=code, changes=("code",), knows=150, needs=XKB
    ),
    "keymapdb-evdev": Source(said=keymapdb(0), ours=code, changes=("code",), knows=161),
    "keymapdb-set1": Source(
        said=keymapdb(2),
        ours=set1,
        changes=("set1",),
        knows=161,
        otherwise=because(ALONE, "print sysrq pause"),
    ),
    "keymapdb-usb": Source(
        said=keymapdb(3),
        ours=usb,
        changes=("usb",),
        knows=153,
        otherwise=because(
            RESERVED,
            "sleep calculator audionext audioprev audioplay audiostop "
            "ac_back ac_forward ac_refresh",
        )
        | because(SUN, "menu"),
    ),
    "keymapdb-dom": Source(
        said=keymapdb(4),
        ours=lambda key: key.dom,
        changes=("dom",),
        knows=158,
        otherwise=because(SECOND, "asterisk sysrq"),
    ),
    "novnc-set1": Source(
        said=by_dom("novnc", 1),
        ours=set1,
        changes=("set1", "dom"),
        knows=156,
        otherwise=because(ALONE, "print pause"),
    ),
    "chromium-usb": Source(
        said=by_dom("chromium", 1),
        ours=usb,
        changes=("usb", "dom"),
        knows=156,
        otherwise=because(SUN, "stop"),
    ),
    "chromium-evdev": Source(
        said=by_dom("chromium", 2),
        ours=code,
        changes=("code", "dom"),
        knows=156,
        otherwise=because(TAKEN, "computer mediaselect"),
    ),
    "chromium-set1": Source(
        said=by_dom("chromium", 3),
        ours=set1,
        changes=("set1", "dom"),
        knows=152,
        otherwise=because(
            MICROSOFT,
            "f13 f14 f15 f16 f17 f18 f19 f20 f21 f22 f23 f24 num_lock "
            "undo copy paste cut help",
        )
        | because(ALONE, "print pause"),
    ),
    "webkit-evdev": Source(
        said=by_dom("webkit", 1),
        ours=code,
        changes=("code", "dom"),
        knows=150,
        otherwise=because(TAKEN, "computer"),
    ),
    "linux-usb": Source(
        said=lambda key: linux("usb").get(usb(key), set()),
        ours=code,
        changes=("usb", "code"),
        knows=160,
        otherwise=because(TAKEN, "computer mediaselect"),
    ),
    "linux-set1": Source(
        said=lambda key: linux("set1").get(set1(key), set()),
        ours=code,
        changes=("set1", "code"),
        knows=135,
    ),
}


def differs(source: Source, key: Key) -> bool:
    said = source.said(key)
    return bool(said) and source.ours(key) not in said


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> Source:
    found = SOURCES[request.param]
    if found.needs is not None and not found.needs.exists():
        pytest.skip(f"{request.param} is not installed")
    return found


def test_every_source_agrees_but_where_it_is_known_not_to(source: Source) -> None:
    different = {key.qcode for key in KEYS.values() if differs(source, key)}
    assert different == set(source.otherwise)
    assert sum(bool(source.said(key)) for key in KEYS.values()) >= source.knows


def wrong(key: Key, name: str) -> Key:
    """Give a key what another one has there."""
    other = KEYS["a" if key.qcode == "esc" else "esc"]
    return replace(key, **{name: getattr(other, name)})


def test_every_source_finds_a_single_wrong_entry(source: Source) -> None:
    compared = [
        key
        for key in KEYS.values()
        if source.said(key) and key.qcode not in source.otherwise
    ]
    unnoticed = [
        (key.qcode, name)
        for key in compared
        for name in source.changes
        if not differs(source, wrong(key, name))
    ]
    assert unnoticed == []


def test_further_usages_are_the_same_key_for_linux() -> None:
    known = [
        (usage, int(number))
        for usage, numbers in linux("usb").items()
        for number in numbers
    ]
    led = dict(leading_of(known))
    assert len(led) > 160
    # The two of which Linux makes another key are ours by their usage all the same.
    assert {
        usage: key for usage, key in led.items() if usage not in agreeing(known)
    } == {
        "0c0183": "mediaselect",
        "0c0194": "computer",
    }


def leading_of(known: list[tuple[str, int]]) -> Iterator[tuple[str, str]]:
    """Yield the usages that lead to a key of ours."""
    for usage, _ in known:
        try:
            yield usage, find_key(f"usb:0x{usage}")
        except ValueError:
            continue


def agreeing(known: list[tuple[str, int]]) -> set[str]:
    """Return the usages that lead to the key that Linux makes of them."""
    leads = dict(leading_of(known))
    return {
        usage
        for usage, number in known
        if usage in leads and KEYS[leads[usage]].code == number
    }


def test_keys_that_every_browser_names_as_one_key_are_known() -> None:
    """What a browser says of a key leads back to that key, or it is known not to."""
    unsure = {
        key.qcode
        for key in KEYS.values()
        for browser, column in (("chromium", 2), ("webkit", 1))
        if not said_of(browser, column, key)
    }
    assert unsure == UNSURE_IN_BROWSERS


def said_of(browser: str, column: int, key: Key) -> bool:
    """Tell whether a browser has a DOM code for a key, which leads to it."""
    doms = table(browser, column, 0).get(str(key.code), set())
    return {key_of_dom(dom) for dom in doms} == {key_of_evdev(key.code)}
