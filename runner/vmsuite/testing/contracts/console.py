"""What consoles and channels must do: lose nothing, and wait for what was asked."""

from __future__ import annotations

import asyncio
import re
from typing import ClassVar

import pytest

from vmsuite.errors import PlatformError
from vmsuite.ports import Channels, Console, Machine, Shell
from vmsuite.testing.contracts.stand import Stand


class ConsoleContract:
    """The serial console; ``say`` makes the guest print a line on it."""

    async def say(self, machine: Machine, line: str) -> None:
        """Let the guest print a line on its console."""
        await machine.capability(Shell).execute(
            ("sh", "-c", 'echo "$1" > /dev/console', "sh", line)
        )

    def test_what_the_guest_prints_is_found(self, stand: Stand) -> None:
        """Also when it was printed before the wait began."""
        console = stand.capability(Console)

        async def story() -> str:
            since = console.mark()
            await self.say(stand.machine, "printed before")
            return await console.until(re.compile(r"printed b\w+"), since=since)

        assert stand.run(story(), limit=10) == "printed before"

    def test_a_wait_ends_as_soon_as_the_line_comes(self, stand: Stand) -> None:
        """Even when the line comes in pieces after the wait began."""
        console = stand.capability(Console)

        async def story() -> str:
            since = console.mark()
            waiting = asyncio.create_task(
                console.until(re.compile("printed later"), since=since)
            )
            await asyncio.sleep(0)
            await self.say(stand.machine, "printed later")
            return await waiting

        assert stand.run(story(), limit=10) == "printed later"

    def test_what_came_before_the_mark_does_not_count(self, stand: Stand) -> None:
        """Otherwise an old prompt would answer for a new one."""
        console = stand.capability(Console)

        async def story() -> None:
            await self.say(stand.machine, "old news")
            await console.until(re.compile("old news"))
            await self.say(stand.machine, "newer news")
            await console.until(re.compile("newer news"))
            since = console.mark()
            async with asyncio.timeout(0.3):
                await console.until(re.compile("old news"), since=since)

        with pytest.raises(TimeoutError):
            stand.run(story(), limit=10)

    def test_text_and_tail_end_with_the_newest(self, stand: Stand) -> None:
        """And ``text`` is never longer than its limit."""
        console = stand.capability(Console)

        async def story() -> tuple[str, str, str]:
            since = console.mark()
            for number in range(3):
                await self.say(stand.machine, f"line {number}")
            await console.until(re.compile("line 2"), since=since)
            return console.text(since=since), console.text(limit=10), console.tail(40)

        text, short, tail = stand.run(story(), limit=10)
        assert text.index("line 0") < text.index("line 1") < text.index("line 2")
        assert len(short) <= 10
        assert "line 2" in tail


class ChannelsContract:
    """A channel named ``channel`` at whose guest end every byte is sent back.

    Provide ``echoing``: start that echo in the guest (once is enough).
    """

    channel: ClassVar[str] = "test"

    async def echoing(self, machine: Machine) -> None:
        """Make the guest send back what arrives on the channel."""
        raise NotImplementedError

    def test_bytes_come_back_through_the_guest(self, stand: Stand) -> None:
        """Every value, in order, both ways, more than any buffer holds."""
        channels = stand.capability(Channels)
        sent = bytes(range(256)) * 512

        async def story() -> bytes:
            await self.echoing(stand.machine)
            async with channels.open_channel(self.channel) as stream:
                sending = asyncio.create_task(stream.send(sent))
                got = b""
                while len(got) < len(sent):
                    got += await stream.receive()
                await sending
            return got

        assert stand.run(story(), limit=30) == sent

    def test_a_channel_serves_one_peer_at_a_time(self, stand: Stand) -> None:
        """The second is told, and may come once the first has gone."""
        channels = stand.capability(Channels)

        async def story() -> None:
            async with channels.open_channel(self.channel):
                with pytest.raises(PlatformError, match=self.channel):
                    async with channels.open_channel(self.channel):
                        pass
            async with channels.open_channel(self.channel) as stream:
                await stream.close()

        stand.run(story(), limit=10)

    def test_an_unknown_channel_is_a_key_error(self, stand: Stand) -> None:
        """Planning has named it already, with file and line."""
        with pytest.raises(KeyError):
            stand.capability(Channels).channel_path("no-such-channel")

    def test_a_channels_socket_is_there_and_private(self, stand: Stand) -> None:
        """Companions connect to it; other users of the host must not."""
        path = stand.capability(Channels).channel_path(self.channel)
        assert path.is_socket()
        assert path.parent.stat().st_mode & 0o077 == 0
