"""``run-suite template``: make, list and remove what machines fork from."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vmsuite.cli.tables import show
from vmsuite.errors import PlatformError, UsageError
from vmsuite.findings import nearest
from vmsuite.locations import cache_dir
from vmsuite.model import Json
from vmsuite.ports import Driver, Forking, TemplateInfo
from vmsuite.quantities import parse_duration, parse_size, show_duration, show_size
from vmsuite.registry import load_registry

SHORT = 12
"""Characters of a digest that people are shown; any prefix that is unique will do."""
_DAY = 86400.0


def run(options: argparse.Namespace) -> int:
    """Return 0; 1 if a template could not be made, 3 if one could not be removed."""
    if options.what == "build":
        # Only this needs the engine.
        from vmsuite.cli.template_build import build  # noqa: PLC0415

        return build(options)
    found = list(_found())
    if options.what == "list":
        show([_row(one, options.output) for one in found], options.output, "none")
        return 0
    if options.what == "rm":
        return _remove(_named(options, found))
    return _collect(options, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A template and the driver that knows it."""

    driver: Forking
    info: TemplateInfo

    @property
    def short(self) -> str:
        return self.info.digest[:SHORT]


def _found() -> Iterator[_Found]:
    """Yield the templates of every driver that forks."""
    drivers: Sequence[Driver] = list(load_registry().drivers.values())
    for driver in drivers:
        if isinstance(driver, Forking):
            for info in driver.templates(cache_dir()):
                yield _Found(driver=driver, info=info)


# --- list -------------------------------------------------------------------------


def _row(found: _Found, form: str) -> dict[str, Json]:
    info = found.info
    if form == "table":
        now = time.time()
        return {
            "template": found.short,
            "driver": info.driver,
            "machine": info.machine,
            "size": show_size(info.size),
            "made": _ago(now - info.made),
            "last_used": _ago(now - info.used),
            "busy": info.busy,
            "trouble": info.trouble,
        }
    return {
        "template": info.digest,
        "driver": info.driver,
        "machine": info.machine,
        "size": info.size,
        "made": _when(info.made),
        "last_used": _when(info.used),
        "busy": info.busy,
        "trouble": info.trouble,
        "folder": str(info.folder),
    }


def _ago(seconds: float) -> str:
    days = int(seconds // _DAY)
    if days > 1:
        return f"{days} days ago"
    return f"{show_duration(round(seconds))} ago" if seconds >= 1 else "just now"


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")


# --- rm ---------------------------------------------------------------------------


def _named(options: argparse.Namespace, found: list[_Found]) -> list[_Found]:
    """Return what was named, all of it before any is removed.

    Raises:
        UsageError: a name means no template, or several.

    """
    if options.all == bool(options.digests):
        raise UsageError("name templates, or give --all", hint="see: template list")
    if options.all:
        return found
    return list(
        {one.info.digest: one for one in _each(options.digests, found)}.values()
    )


def _each(digests: Sequence[str], found: list[_Found]) -> Iterator[_Found]:
    for digest in digests:
        fitting = [
            one for one in found if digest and one.info.digest.startswith(digest)
        ]
        if len(fitting) > 1:
            shown = ", ".join(one.info.digest for one in fitting)
            raise UsageError(f"{digest!r} begins several templates", hint=shown)
        if not fitting:
            known = [one.info.digest[: max(SHORT, len(digest))] for one in found]
            raise UsageError(
                f"no template is called {digest!r}",
                hint=nearest(digest, known) or "see: template list",
            )
        yield fitting[0]


def _remove(chosen: Sequence[_Found]) -> int:
    """Remove templates; say of each that stays why it does."""
    code, freed = 0, 0
    for one in chosen:
        try:
            one.driver.remove_template(cache_dir(), one.info.digest)
        except KeyError:  # somebody else was quicker
            continue
        except PlatformError as error:
            print(f"run-suite: {error}", file=sys.stderr)
            code = 3
            continue
        freed += one.info.size
        print(f"removed {one.short} ({one.info.machine}), {show_size(one.info.size)}")
    print(f"{show_size(freed)} freed")
    return code


# --- gc ---------------------------------------------------------------------------


def _collect(options: argparse.Namespace, found: list[_Found]) -> int:
    doomed = list(
        unwanted(
            [one.info for one in found],
            now=time.time(),
            unused_for=_age(options.unused_for),
            most=None if options.max_size is None else _size(options.max_size),
        )
    )
    why = {info.digest: reason for info, reason in doomed}
    chosen = [one for one in found if one.info.digest in why]
    if not options.dry_run:
        return _remove(chosen)
    for one in chosen:
        size = show_size(one.info.size)
        print(f"would remove {one.short} ({one.info.machine}), {size}: ", end="")
        print(why[one.info.digest])
    print(f"{show_size(sum(one.info.size for one in chosen))} would be freed")
    return 0


def unwanted(
    infos: Sequence[TemplateInfo], *, now: float, unused_for: float, most: int | None
) -> Iterator[tuple[TemplateInfo, str]]:
    """Yield what may go, each with why: damaged ones, old ones, then the least recently
    used until the rest takes no more than ``most`` bytes. What is in use stays.
    """
    kept = sum(info.size for info in infos)
    for info in sorted(infos, key=lambda one: (not one.trouble, one.used)):
        if info.busy:
            continue
        if info.trouble:
            reason = info.trouble
        elif now - info.used > unused_for:
            reason = f"last used {_ago(now - info.used)}"
        elif most is not None and kept > most:
            reason = f"all together take more than {show_size(most)}"
        else:
            continue
        kept -= info.size
        yield info, reason


def _age(written: str) -> float:
    """Return seconds; ``7d`` are days. Raises UsageError."""
    number = written.strip().removesuffix("d")
    try:
        if number != written.strip():
            return parse_duration(float(number)) * _DAY
        return parse_duration(written)
    except ValueError as error:
        raise UsageError(
            f"--unused-for: {written!r} is not a time", hint="such as 7d, 12h or 30m"
        ) from error


def _size(written: str) -> int:
    try:
        return parse_size(written)
    except ValueError as error:
        raise UsageError(f"--max-size: {error}") from error
