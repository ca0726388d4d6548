"""Builds the guests that a plan's machines start, before any case's clock runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from vmsuite.engine.verdict import explained
from vmsuite.events import Emit, LogLine, Notice
from vmsuite.model import Suite
from vmsuite.ports import GuestRecipe
from vmsuite.registry import Registry

T = TypeVar("T")


async def build_guests(
    suites: Iterable[Suite], registry: Registry, cache_dir: Path, emit: Emit
) -> None:
    """Build every guest the suites use and that is not built yet.

    One that cannot be built is a notice; the cases that need it will say so, too.
    """
    for recipe in _used(suites, registry):
        if await in_thread(partial(recipe.built, cache_dir)) is None:
            await _build(recipe, cache_dir, emit)


async def _build(recipe: GuestRecipe, cache_dir: Path, emit: Emit) -> None:
    loop = asyncio.get_running_loop()

    def log(text: str) -> None:
        loop.call_soon_threadsafe(emit, LogLine(text=text, source=recipe.name))

    emit(Notice(text=f"building guest {recipe.name} (once)"))
    try:
        await in_thread(partial(recipe.build, cache_dir, log))
    except Exception as error:  # noqa: BLE001 - the cases that need it will say so
        known = explained(error)
        emit(Notice(text=f"guest {recipe.name} cannot be built: {known}"))


def _used(suites: Iterable[Suite], registry: Registry) -> list[GuestRecipe]:
    names = {
        guest
        for suite in suites
        for case in suite.cases
        for spec in case.machines.values()
        if (guest := getattr(spec.settings, "guest", None))
    }
    return [registry.guests[name] for name in sorted(names) if name in registry.guests]


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread that an exit never waits for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type] # None only with an error

    def body() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - carried to the one who waits
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=body, daemon=True).start()
    return await done
