"""Tries steps on a fake machine, in one call from a synchronous test.

::

    def test_ret_is_pressed(tmp_path):
        async def story(context, machine):
            await perform(SendKey, context, {"key": "ret"})
            return machine.input.keys

        assert on_fake(tmp_path, story) == [("ret", True), ("ret", False)]
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vmsuite.testing.context import FakeContext
from vmsuite.testing.fake import FakeMachine, open_fake

T = TypeVar("T")

Story = Callable[[FakeContext, FakeMachine], Awaitable[T]]


def on_fake(
    folder: Path,
    story: Story[T],
    settings: Mapping[str, Any] | None = None,
    *,
    limit: float = 20.0,
    **context: Any,
) -> T:
    """Run a story with a ready fake machine and return what it returns.

    ``settings`` are the machine's, ``context`` is more for the ``FakeContext``. Raises
    TimeoutError after ``limit`` seconds.
    """

    async def whole() -> T:
        async with asyncio.timeout(limit), open_fake(settings) as machine:
            await machine.ready()
            fake = FakeContext(folder=folder, machines=[machine], **context)
            return await story(fake, machine)

    return asyncio.run(whole())
