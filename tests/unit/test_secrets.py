"""Secrets are covered wherever they stand, and nothing else is."""

from __future__ import annotations

import base64
import json
import shlex
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmsuite.secrets import MASK, Masker

SAMPLE = 'hun\'ter "2"\\$é/+'


def masker(*secrets: str) -> Masker:
    made = Masker()
    for secret in secrets:
        made.add(secret)
    return made


@pytest.mark.parametrize(
    "shown",
    [
        SAMPLE,
        json.dumps(SAMPLE),
        json.dumps(SAMPLE, ensure_ascii=False),
        repr(SAMPLE),
        quote(SAMPLE),
        quote(SAMPLE, safe=""),
        quote_plus(SAMPLE),
        quote(SAMPLE).lower(),
        shlex.quote(SAMPLE),
        "'" + SAMPLE.replace("'", "'\\''") + "'",
        base64.b64encode(SAMPLE.encode()).decode(),
        base64.urlsafe_b64encode(SAMPLE.encode()).decode(),
        base64.b64encode(f"user:{SAMPLE}".encode()).decode(),
        base64.b64encode(f"u:{SAMPLE}@host".encode()).decode(),
        base64.b64encode(f"me:{SAMPLE}".encode()).decode(),
        base64.b64encode(f"{SAMPLE}\n".encode()).decode(),
    ],
)
def test_a_secret_is_covered_in_every_form(shown: str) -> None:
    masked = masker(SAMPLE).mask(f"login {shown} done")
    assert MASK in masked
    assert masked.startswith("login ")
    assert masked.endswith(" done")
    assert SAMPLE not in masked
    # What base64 shares with its neighbours is all that may be left.
    assert len(masked) - len("login  done") < len(MASK) + 12


def test_other_text_stays() -> None:
    text = "hunter and '2' and aHVudGV"
    assert masker(SAMPLE).mask(text) == text
    assert Masker().mask(text) == text


def test_the_longest_secret_is_covered_first() -> None:
    assert masker("pass", "password1").mask("password1 pass") == "*** ***"


def test_no_part_of_a_secret_shows_beside_another() -> None:
    assert masker("abcd", "cdefgh").mask("xabcdefghx") == "x***x"


def test_secrets_side_by_side_are_covered_each() -> None:
    assert masker("abcd").mask("abcdabcd") == "******"


def test_each_line_of_a_key_is_covered() -> None:
    key = "-----BEGIN KEY-----\nMIIBVgIBADANBgkq\n}\nhkiG9w0BAQEFAASC\n"
    made = masker(key)
    assert made.mask(f"[vm] {key}") == "[vm] ***"
    assert made.mask("console: MIIBVgIBADANBgkq") == "console: ***"
    assert made.mask("if x {\n}\n") == "if x {\n}\n"
    assert made.mask(key.replace("\n", "\r\n")) == MASK


@pytest.mark.parametrize("short", ["", "a", "ab"])
def test_what_is_too_short_is_not_masked_and_says_so(short: str) -> None:
    made = Masker()
    assert made.add(short) is False
    assert made.mask("a ab abc") == "a ab abc"
    assert made.add("abc") is True
    assert made.mask("a ab abc") == "a ab ***"


def test_a_masker_does_not_tell_its_secrets() -> None:
    assert "hunter" not in repr(masker("hunter2"))


def test_a_secret_may_hold_what_patterns_mean() -> None:
    assert masker(".*+[").mask("a.*+[b") == "a***b"


def test_values_are_masked_deep() -> None:
    value: Any = {
        "argv": ["login", "-p", "hunter2"],
        "hunter2": {"deep": ("x hunter2 y", 3, None, True)},
        "pin": 123456,
        "other": 1234567,
    }
    assert masker("hunter2", "123456").mask_json(value) == {
        "argv": ["login", "-p", MASK],
        MASK: {"deep": [f"x {MASK} y", 3, None, True]},
        "pin": MASK,
        "other": 1234567,
    }


def test_two_secret_keys_lose_no_value() -> None:
    masked = masker("first", "second").mask_json({"first": 1, "second": 2})
    assert sorted(masked.values()) == [1, 2]


def streamed(made: Masker, pieces: list[bytes]) -> bytes:
    stream = made.stream()
    return b"".join([*map(stream.feed, pieces), stream.finish()])


SMALL = st.text(alphabet="ab'", min_size=3, max_size=7)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(SMALL, min_size=1, max_size=4),
    st.lists(st.text(alphabet="ab'c\"", max_size=9), max_size=12),
)
def test_any_split_of_a_stream_is_masked_as_the_whole(
    secrets: list[str], pieces: list[str]
) -> None:
    made = masker(*secrets)
    whole = "".join(pieces)
    shown = streamed(made, [piece.encode() for piece in pieces])
    assert shown.decode() == made.mask(whole)
    assert not any(secret in shown.decode().replace(MASK, "|") for secret in secrets)


@settings(deadline=None)
@given(
    st.lists(st.text(min_size=3, max_size=12), min_size=1, max_size=3),
    st.lists(st.text(max_size=12), max_size=4),
    st.data(),
)
def test_a_stream_of_any_text_is_masked_as_the_whole(
    secrets: list[str], between: list[str], data: st.DataObject
) -> None:
    made = masker(*secrets)
    shown = json.dumps if data.draw(st.booleans()) else str
    whole = "".join(text + shown(secrets[0]) for text in between).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    assert streamed(made, pieces) == streamed(made, [whole])
    assert streamed(made, [whole]).decode() == made.mask(whole.decode())


def test_a_stream_holds_back_only_what_may_become_a_secret() -> None:
    stream = masker("hunter2").stream()
    assert stream.feed(b"login: ") == b"login: "
    assert stream.feed(b"hunt") == b""
    assert stream.feed(b" hunter") == b"hunt "
    assert stream.feed(b"2\n") == b"***\n"
    assert stream.feed(b"hun") == b""
    assert stream.finish() == b"hun"


def test_a_stream_without_secrets_passes() -> None:
    assert Masker().stream().feed(b"\xff\x00 text") == b"\xff\x00 text"


def test_bytes_that_are_no_text_pass() -> None:
    assert streamed(masker("abc"), [b"\xff\xfea", b"bc\xff"]) == b"\xff\xfe***\xff"


def test_a_secret_that_is_learned_later_is_covered_from_then_on() -> None:
    made = Masker()
    stream = made.stream()
    assert stream.feed(b"first hunter2 ") == b"first hunter2 "
    made.add("hunter2")
    assert stream.feed(b"then hunter2 ") == b"then *** "


def test_an_endless_run_of_a_secret_does_not_fill_memory() -> None:
    stream = masker("aaaa").stream()
    shown = b"".join(stream.feed(b"a" * 1000) for _ in range(50))
    assert shown + stream.finish() == b"***"
    assert len(stream._held) < 4
