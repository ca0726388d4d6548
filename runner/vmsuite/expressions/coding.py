"""Filters that write values as JSON, base64, URLs and shell words, and read them."""

from __future__ import annotations

import base64
import binascii
import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote as url_quote

from vmsuite.expressions.coerce import text_of, whole
from vmsuite.expressions.failure import Refused
from vmsuite.expressions.limits import take_items, take_text
from vmsuite.expressions.values import account, to_text
from vmsuite.expressions.values import to_json as plain_json
from vmsuite.model import Json


def to_json(value: Any, indent: Any = None) -> str:
    """Return a value as JSON text."""
    plain = plain_json(value)
    account(plain)
    deep = None if indent is None else min(whole(indent), 8)
    written = json.dumps(plain, ensure_ascii=False, indent=deep)
    take_text(len(written))
    return written


def from_json(value: Any) -> Json:
    """Return what JSON text means."""
    text = text_of(value)
    take_items(text.count(",") + text.count("[") + text.count("{"))
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refused(f"the text is not JSON: {error.msg} ({where})") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"the text is not JSON: {error}") from None


def _no_constant(name: str) -> Json:
    raise ValueError(f"it holds {name}")


def b64encode(value: Any) -> str:
    """Return text in base64, as UTF-8."""
    return base64.b64encode(text_of(value).encode("utf-8", "replace")).decode("ascii")


def b64decode(value: Any) -> str:
    """Return the UTF-8 text that base64 stands for."""
    try:
        return base64.b64decode(text_of(value), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Refused(f"the text is not base64 of UTF-8 text: {error}") from None


def quote(value: Any) -> str:
    """Return text as one word of a shell command."""
    return shlex.quote(text_of(value))


def urlencode(value: Any) -> str:
    """Return text, or a mapping's ``key=value`` pairs, for a URL."""
    if isinstance(value, Mapping):
        pairs = value.items()
        return "&".join(f"{_url(key)}={_url(item)}" for key, item in pairs)
    return url_quote(text_of(value).encode("utf-8", "replace"), safe="/")


def _url(value: Any) -> str:
    return url_quote(to_text(value).encode("utf-8", "replace"), safe="")
