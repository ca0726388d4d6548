"""Console and channels: what is sent, what is waited for, and what a bad guest does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmsuite.errors import CheckFailed, OutOfTime, PlatformError
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.virtualization.channel import REPLY_LIMIT, ChannelSend
from vmsuite_plugins.steps.virtualization.serial_console import SerialSend

SETTINGS = {
    "serial": {"ping": "pong 7"},
    "channels": {
        "echo": "echo",
        "mute": "silent",
        "lines": {"hi": "there", '{"a": 1}': '{"b": [2]}', "bad": "no json"},
    },
}


def sent(folder: Path, kind: Any, fields: dict[str, Any], **context: Any) -> Any:
    async def story(context: FakeContext, machine: FakeMachine) -> Any:
        return await perform(kind, context, fields), machine

    return on_fake(folder, story, SETTINGS, **context)


def test_text_is_sent_as_it_is(tmp_path: Path) -> None:
    output, machine = sent(tmp_path, SerialSend, {"text": "é"})
    assert machine.console.sent == "é".encode()
    assert output == {"match": None}


def test_bytes_and_a_line_end(tmp_path: Path) -> None:
    _, machine = sent(tmp_path, SerialSend, {"hex": "1b 5B41", "newline": True})
    assert machine.console.sent == b"\x1b[A\n"


def test_the_answer_is_waited_for(tmp_path: Path) -> None:
    fields = {"text": "ping", "newline": True, "expect": r"pong \d"}
    output, _ = sent(tmp_path, SerialSend, fields)
    assert output == {"match": "pong 7"}


def test_an_answer_from_before_does_not_count(tmp_path: Path) -> None:
    fields = {"text": "x", "expect": "fake login", "timeout": "100ms"}
    with pytest.raises(OutOfTime, match="did not answer 'fake login' in 100ms") as late:
        sent(tmp_path, SerialSend, fields)
    assert late.value.evidence == "since then it said:\nx"


def test_the_timeout_factor_stretches_it(tmp_path: Path) -> None:
    fields = {"text": "x", "expect": "never", "timeout": "10ms"}
    with pytest.raises(OutOfTime, match="in 200ms"):
        sent(tmp_path, SerialSend, fields, timeout_factor=20.0)


def test_a_pattern_may_be_anchored_at_lines(tmp_path: Path) -> None:
    fields = {"text": "ping\n", "expect": r"^pong 7\r?$"}
    assert sent(tmp_path, SerialSend, fields)[0]["match"].startswith("pong 7")


@pytest.mark.parametrize("pattern", ["(", "*a", "a{2,1}", ""])
def test_a_bad_pattern_is_refused(pattern: str) -> None:
    for kind in (SerialSend, ChannelSend):
        with pytest.raises(ValueError, match="validation error"):
            kind.model_validate({"text": "a", "channel": "a", "expect": pattern})


def test_a_channel_step_without_a_wait_only_sends(tmp_path: Path) -> None:
    output, _ = sent(tmp_path, ChannelSend, {"channel": "mute", "text": "hello"})
    assert output == {"reply": None}


def test_a_line_is_captured(tmp_path: Path) -> None:
    fields = {"channel": "lines", "text": "hi", "newline": True, "reply": "line"}
    assert sent(tmp_path, ChannelSend, fields)[0] == {"reply": "there"}


def test_json_goes_and_comes(tmp_path: Path) -> None:
    fields = {"channel": "lines", "json": {"a": 1}, "reply": "json"}
    assert sent(tmp_path, ChannelSend, fields)[0] == {"reply": {"b": [2]}}


def test_all_up_to_a_match_is_captured(tmp_path: Path) -> None:
    fields = {"channel": "echo", "hex": "41 42 43 0a", "expect": "B"}
    assert sent(tmp_path, ChannelSend, fields)[0] == {"reply": "AB"}


def test_a_line_that_does_not_match_fails(tmp_path: Path) -> None:
    fields = {"channel": "echo", "text": "no\n", "reply": "line", "expect": "yes"}
    with pytest.raises(CheckFailed, match="does not match 'yes'") as raised:
        sent(tmp_path, ChannelSend, fields)
    assert raised.value.evidence == "no"


@pytest.mark.parametrize("line", ["no json", "[" * 100_000, '{"a": }'])
def test_a_line_that_is_no_json_fails(tmp_path: Path, line: str) -> None:
    fields = {"channel": "echo", "text": f"{line}\n", "reply": "json"}
    with pytest.raises(CheckFailed, match="no JSON"):
        sent(tmp_path, ChannelSend, fields)


def test_silence_runs_out_of_time_with_what_came(tmp_path: Path) -> None:
    fields = {"channel": "echo", "text": "half", "reply": "line", "timeout": "100ms"}
    with pytest.raises(OutOfTime, match="channel 'echo'") as late:
        sent(tmp_path, ChannelSend, fields)
    assert late.value.evidence == "it had sent:\nhalf"
    fields |= {"channel": "mute"}
    with pytest.raises(OutOfTime) as late:
        sent(tmp_path, ChannelSend, fields)
    assert late.value.evidence == "it sent nothing"


def test_a_flood_without_an_end_is_not_kept(tmp_path: Path) -> None:
    text = "x" * (REPLY_LIMIT + 100_000)
    with pytest.raises(CheckFailed, match=r"more than 1 MiB") as raised:
        sent(tmp_path, ChannelSend, {"channel": "echo", "text": text, "reply": "line"})
    assert len(raised.value.evidence) < 5000


def test_a_channel_that_is_cut_fails(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        fields = {"channel": "mute", "text": "x", "reply": "line"}
        task = asyncio.ensure_future(perform(ChannelSend, context, fields))
        wire = machine.channels.wires["mute"]
        while not wire.received:
            await asyncio.wait({task}, timeout=0.01)
        await wire.hang_up()
        with pytest.raises(CheckFailed, match="closed before its reply was whole"):
            await task

    on_fake(tmp_path, story, SETTINGS)


def test_an_unknown_channel_is_found_in_planning_and_in_the_run(tmp_path: Path) -> None:
    fields = {"channel": "ecko", "text": "x"}
    settings = SimpleNamespace(channels=["echo"])
    (found,) = ChannelSend.troubles(fields, settings)
    assert found == "the machine has no channel 'ecko' (did you mean 'echo'?)"
    assert list(ChannelSend.troubles({**fields, "channel": "echo"}, settings)) == []
    assert list(ChannelSend.troubles({**fields, "channel": "{{ c }}"}, settings)) == []
    with pytest.raises(PlatformError, match="no channel 'ecko'"):
        sent(tmp_path, ChannelSend, fields)


@pytest.mark.parametrize(
    ("fields", "troubles"),
    [
        ({"text": "a", "hex": "00"}, 1),
        ({"text": "a", "json": {}}, 1),
        ({}, 1),
        ({"newline": True}, 2),
        ({"expect": "a"}, 0),
        ({"json": [1], "reply": "json"}, 0),
    ],
)
def test_planning_wants_one_message(fields: dict[str, Any], troubles: int) -> None:
    assert len(list(ChannelSend.troubles({"channel": "a"} | fields, None))) == troubles


def test_planning_wants_one_text_for_the_console() -> None:
    assert list(SerialSend.troubles({}, None))
    assert list(SerialSend.troubles({"text": "a", "hex": "00"}, None))
    assert list(SerialSend.troubles({"text": ""}, None)) == []
