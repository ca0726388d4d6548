"""Which templates go: damaged, then old, then the least recently used."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmsuite.cli.template import unwanted
from vmsuite.ports import TemplateInfo

DAY = 86400.0
NOW = 100 * DAY


def info(
    digest: str, *, days: float = 0, size: int = 10, busy: bool = False, bad: str = ""
) -> TemplateInfo:
    return TemplateInfo(
        digest=digest,
        driver="fake",
        machine="m",
        folder=Path("/nowhere"),
        size=size,
        made=0.0,
        used=NOW - days * DAY,
        busy=busy,
        trouble=bad,
    )


def gone(*infos: TemplateInfo, most: int | None = None) -> list[str]:
    found = unwanted(infos, now=NOW, unused_for=7 * DAY, most=most)
    return [one.digest for one, _ in found]


def test_nothing_goes_that_is_whole_and_young() -> None:
    assert gone(info("a"), info("b", days=6.9)) == []


def test_what_is_old_goes() -> None:
    assert gone(info("young", days=6), info("old", days=8)) == ["old"]


def test_what_is_damaged_goes_first_however_young() -> None:
    assert gone(info("old", days=8), info("bad", bad="torn")) == ["bad", "old"]


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (30, []),
        (29, ["c"]),
        (20, ["c"]),
        (19, ["c", "b"]),
        (0, ["c", "b", "a"]),
    ],
)
def test_of_too_much_the_least_recently_used_goes(
    most: int, expected: list[str]
) -> None:
    infos = info("b", days=2), info("a", days=1), info("c", days=3)
    assert gone(*infos, most=most) == expected


def test_what_went_for_another_reason_makes_room() -> None:
    assert gone(info("a"), info("bad", bad="torn", size=90), most=10) == ["bad"]


def test_what_is_in_use_stays_whatever_speaks_against_it() -> None:
    assert gone(info("a", days=99, busy=True, bad="torn"), most=0) == []


def test_each_says_why() -> None:
    infos = info("bad", bad="torn"), info("old", days=9), info("big")
    found = unwanted(infos, now=NOW, unused_for=7 * DAY, most=0)
    assert [why for _, why in found] == [
        "torn",
        "last used 9 days ago",
        "all together take more than 0 B",
    ]
