"""Commands through a guest agent end when their caller's patience does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from vmsuite.model import Json
from vmsuite_plugins.protocols.agent_shell import AgentShell


def test_an_agent_that_fell_silent_does_not_outlast_its_callers_patience() -> None:
    """As of a guest that hangs: its command can be neither started nor ended."""
    asked = asyncio.Event()

    async def silent(
        command: str,
        arguments: Mapping[str, Json] | None = None,
        *,
        audit: bool = True,
    ) -> Json:
        asked.set()
        await asyncio.Event().wait()

    async def story() -> None:
        kept: set[asyncio.Task[None]] = set()

        def keep(work: Any) -> asyncio.Task[None]:
            task: asyncio.Task[None] = asyncio.ensure_future(work)
            kept.add(task)
            return task

        shell = AgentShell(silent, keep)
        running = asyncio.ensure_future(shell.execute(["true"]))
        await asked.wait()
        running.cancel()
        async with asyncio.timeout(60):
            await asyncio.wait({running})
        assert running.cancelled()
        (tidying,) = kept
        assert not tidying.done()
        tidying.cancel()
        await asyncio.wait(kept)

    asyncio.run(story())
