"""Finds where the keys and values of a TOML file are written, by tree-sitter.

It builds the tables and arrays with their places and leaves the values open: what
they mean is not this module's business, except that dates keep their text.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from vmsuite.documents.faults import Faults
from vmsuite.documents.limits import MAX_DEPTH
from vmsuite.documents.located import LocatedDict, LocatedList, pack
from vmsuite.documents.places import Source
from vmsuite.model import Json

_DATES = frozenset({"offset_date_time", "local_date_time", "local_date", "local_time"})
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def locate_toml(text: str, source: Source, faults: Faults) -> LocatedDict:
    """Return the tables and arrays of text, ``None`` standing for most scalars.

    Keys that are written twice are noted, so are arrays that are nested too deep;
    passages that are no TOML are passed over.
    """
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    walk = _Walk(source, faults, _characters(text))
    for node in tree.root_node.named_children:
        walk.statement(node)
    return walk.root


def _characters(text: str) -> Callable[[int], int]:
    """Return what turns an offset in UTF-8 into one in characters."""
    if text.isascii():
        return int
    starts: list[int] = []
    excess = [0]
    for match in _NOT_ASCII.finditer(text):
        starts.append(match.start() + excess[-1])
        excess.append(excess[-1] + len(match[0].encode()) - 1)
    return lambda offset: offset - excess[bisect_left(starts, offset)]


class _Walk:
    """Follows the statements of a file, as they open tables and set keys."""

    def __init__(
        self, source: Source, faults: Faults, offset: Callable[[int], int]
    ) -> None:
        self.root = LocatedDict(source, 0)
        self._source = source
        self._faults = faults
        self._offset = offset
        self._table = self.root
        """The table that the last header opened."""
        self._declared: set[int] = set()
        """The ids of tables that no further header may open."""

    def statement(self, node: Node) -> None:
        if node.type == "pair":
            self._pair(self.root, node, 0)
        elif node.type in ("table", "table_array_element"):
            self._header(node)
            for child in node.named_children:
                if child.type == "pair":
                    self._pair(self._table, child, 0)

    def _header(self, node: Node) -> None:
        at = self._offset(node.start_byte)
        parts = self._parts(node.named_children[0]) if node.named_children else []
        table = self.root
        for key, key_at in parts[:-1]:
            table = self._step_into(table, key, key_at, at)
        self._table = LocatedDict(self._source, at)
        for key, key_at in parts[-1:]:
            if node.type == "table":
                self._open_table(table, key, key_at)
            else:
                self._append_table(table, key, key_at)

    def _open_table(self, table: LocatedDict, key: str, key_at: int) -> None:
        known = table.get(key)
        if isinstance(known, LocatedDict) and id(known) not in self._declared:
            self._table = known
        elif key in table:
            self._faults.duplicate(key, key_at, table.key_offset(key))
        else:
            self._set(table, key, self._table, key_at, self._table.at)
        self._declared.add(id(self._table))

    def _append_table(self, table: LocatedDict, key: str, key_at: int) -> None:
        if key not in table:
            tables = LocatedList(self._source, self._table.at)
            self._set(table, key, tables, key_at, tables.at)
            self._declared.add(id(tables))
        known = table[key]
        if not isinstance(known, LocatedList) or id(known) not in self._declared:
            self._faults.duplicate(key, key_at, table.key_offset(key))
            return
        known.append(self._table)
        known.item_places.append(self._table.at)

    def _step_into(
        self, table: LocatedDict, key: str, key_at: int, at: int
    ) -> LocatedDict:
        """Return the table at a key, the last one of an array, or a new one."""
        known = table.get(key)
        if isinstance(known, LocatedList) and known:
            known = known[-1]
        if isinstance(known, LocatedDict):
            return known
        if key in table:
            self._faults.duplicate(key, key_at, table.key_offset(key))
        made = LocatedDict(self._source, at)
        self._set(table, key, made, key_at, at)
        return made

    def _pair(self, table: LocatedDict, node: Node, depth: int) -> None:
        children = [child for child in node.named_children if child.type != "comment"]
        if len(children) != 2:
            return
        *path, (last, last_at) = self._parts(children[0])
        for key, key_at in path:
            table = self._step_into(table, key, key_at, key_at)
            self._declared.add(id(table))
        if last in table:
            self._faults.duplicate(last, last_at, table.key_offset(last))
        at = self._offset(children[1].start_byte)
        value = self._value(children[1], at, depth)
        self._set(table, last, value, last_at, at)

    def _value(self, node: Node, at: int, depth: int) -> Json:
        if node.type in _DATES:
            return _text(node)
        if node.type not in ("array", "inline_table"):
            return None
        if depth + 2 > MAX_DEPTH:  # it is in the table of its pair, in the root
            self._faults.too_deep(at)
        if node.type == "inline_table":
            table = LocatedDict(self._source, at)
            self._declared.add(id(table))
            for child in node.named_children:
                if child.type == "pair":
                    self._pair(table, child, depth + 1)
            return table
        array = LocatedList(self._source, at)
        for child in node.named_children:
            if child.type != "comment":
                item_at = self._offset(child.start_byte)
                array.append(self._value(child, item_at, depth + 1))
                array.item_places.append(item_at)
        return array

    def _parts(self, node: Node) -> list[tuple[str, int]]:
        """Return the keys of a dotted key, and where each is."""
        nodes = list(_key_nodes(node))
        return [(_key(part), self._offset(part.start_byte)) for part in nodes[::-1]]

    def _set(
        self, table: LocatedDict, key: str, value: Any, key_at: int, at: int
    ) -> None:
        table[key] = value
        table.key_places[key] = pack(key_at, at)


def _key_nodes(node: Node) -> Iterator[Node]:
    """Yield the parts of a dotted key, the last one first."""
    while node.type == "dotted_key":
        node, last = node.named_children
        yield last
    yield node


def _key(node: Node) -> str:
    text = _text(node)
    if node.type != "quoted_key":
        return text
    if text[0] == "'" or "\\" not in text:
        return text[1:-1]
    try:
        return next(iter(tomllib.loads(f"{text}=0")))
    except tomllib.TOMLDecodeError:  # the file's own error is reported elsewhere
        return text


def _text(node: Node) -> str:
    return (node.text or b"").decode()
