"""Reads what keys come to on a layout, as a toolkit in a guest does."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from vmsuite.keys import KEYS
from vmsuite_plugins.input.layouts.library import binding, look
from vmsuite_plugins.input.layouts.notation import read_notation
from vmsuite_plugins.input.layouts.typewriter import compile_keymap

_EVDEV_OFFSET = 8  # X11 counts keys from 8
_LOCALE = "en_US.UTF-8"


def read_layout(events: Iterable[tuple[str, bool]], layout: str) -> str:
    """Return the text of keys (QKeyCodes) that go down and up on a neutral keyboard.

    What makes no text, such as a command with Control, is passed over.

    Raises:
        ValueError: there is no such layout, or this host lacks what it takes.

    """
    xkb = binding()
    state = _keymap(layout).state_new()
    compose = _compose_state()
    text: list[str] = []
    for key, down in events:
        if key not in KEYS:
            continue
        code = KEYS[key].code + _EVDEV_OFFSET
        if down:
            text.append(_text(xkb, state, compose, code))
        way = xkb.KeyDirection.XKB_KEY_DOWN if down else xkb.KeyDirection.XKB_KEY_UP
        state.update_key(code, way)
    return "".join(text)


def _text(xkb: Any, state: Any, compose: Any, code: int) -> str:
    status = xkb.ComposeStatus
    if compose is not None:
        fed = compose.feed(state.key_get_one_sym(code))
        if fed == xkb.ComposeFeedResult.XKB_COMPOSE_FEED_IGNORED:
            return ""
        match compose.get_status():
            case status.XKB_COMPOSE_COMPOSED:
                return str(compose.get_utf8())
            case status.XKB_COMPOSE_COMPOSING | status.XKB_COMPOSE_CANCELLED:
                return ""
    made = str(state.key_get_string(code)).replace("\r", "\n")
    return made if made in {"\n", "\t"} or made.isprintable() else ""


@cache
def _keymap(layout: str) -> Any:
    return compile_keymap(read_notation(layout), binding())


def _compose_state() -> Any:
    table = _compose_table()
    return None if table is None else table.compose_state_new()


@cache
def _compose_table() -> Any:
    path = look().compose
    if path is None:
        return None
    context = binding().Context(no_environment_names=True)
    context.set_log_fn(lambda *_: None)
    return context.compose_table_new_from_buffer(path.read_bytes(), _LOCALE)
