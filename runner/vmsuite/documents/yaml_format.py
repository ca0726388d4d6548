"""Turns YAML into located values: 1.2 scalars, 1.1 merge keys, one document.

The events of PyYAML's parser (libyaml's where it is compiled in) are built into
values without recursion and without its node tree. Every key is kept as its text:
``on``, ``1`` and ``~`` are keys ``"on"``, ``"1"`` and ``"~"``. Aliases share the value
they stand for, and together may stand for only so many. ``<<`` merges mappings.
What both parsers accept they read alike; PyYAML's own refuses more tabs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamStartEvent,
)
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from vmsuite.documents.core_schema import STANDARD, Scalar, plain, tagged
from vmsuite.documents.faults import Faults, check_surrogates, shown
from vmsuite.documents.limits import MAX_DEPTH
from vmsuite.documents.located import LocatedDict, LocatedList, pack
from vmsuite.documents.places import Source
from vmsuite.documents.yaml_aliases import MERGE_KEY, Aliases, merge
from vmsuite.documents.yaml_errors import explained
from vmsuite.model import Json


class PureParser(Reader, Scanner, Parser):
    """PyYAML's own parser, for where libyaml is not compiled in."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs lack it
except ImportError:
    PARSER: Callable[[str], Any] = PureParser
else:
    PARSER = CParser


def parse_yaml(
    text: str, source: Source, *, parser: Callable[[str], Any] = PARSER
) -> Json:
    """Return the value of the one document in text.

    Raises:
        InvalidSuite: with everything that is wrong up to the first syntax error.

    """
    faults = Faults(source)
    try:
        root = _Composer(source, faults).compose(parser(text).get_event)
    except yaml.YAMLError as error:
        what = explained(error, text)
        line = source.location(what.context or 0).line
        faults.stop(what.offset, what.message, hint=what.hint.format(line=line))
    faults.check()
    return root


_NOTHING = object()
"""The root before there is one: ``null`` is a value."""


class _Composer:
    """Builds values from parser events; one instance per document."""

    def __init__(self, source: Source, faults: Faults) -> None:
        self._source = source
        self._faults = faults
        self._aliases = Aliases(faults)
        self._meanings: dict[str, Scalar] = {}
        """Of the plain scalars met so far: most occur many times."""
        self._here: Any = None
        """The innermost container that is still open; None at the top."""
        self._outer: list[Any] = []
        """The containers around it, the outermost first."""
        self._key: str | None = None
        """The key whose value comes next; None where a key is due."""
        self._key_at = 0
        self._merging: set[int] = set()
        """The ids of open mappings with a merge key."""
        self._root: Json = _NOTHING

    def compose(self, get_event: Callable[[], Any]) -> Json:
        handlers: dict[type, Callable[[Any], None]] = {
            ScalarEvent: self._scalar,
            MappingStartEvent: self._start_mapping,
            MappingEndEvent: self._end_mapping,
            SequenceStartEvent: self._start_sequence,
            SequenceEndEvent: self._end,
            AliasEvent: self._alias,
            DocumentStartEvent: self._start_document,
            DocumentEndEvent: _ignore,
            StreamStartEvent: _ignore,
        }
        event = get_event()
        while handle := handlers.get(event.__class__):
            handle(event)
            event = get_event()
        if self._root is _NOTHING:
            self._faults.stop(0, "the file is empty")
        return self._root

    def _start_document(self, event: Any) -> None:
        if self._root is not _NOTHING:
            self._faults.stop(
                event.start_mark.index,
                "a second YAML document begins here",
                hint="a suite file holds one; put the other into a file of its own",
            )

    def _scalar(self, event: Any) -> None:
        at = event.start_mark.index
        if self._key is None and self._here.__class__ is LocatedDict:
            self._take_key(event, at)
            return
        value = event.value
        if event.tag is not None:
            value = self._tagged(event, at)
        elif event.implicit[0]:
            value = self._meaning(value, at)
        elif not value.isascii():
            check_surrogates(value, at, self._faults)
        if event.anchor is not None:
            self._aliases.define(event.anchor, value)
        self._deliver(value, at)

    def _take_key(self, event: Any, at: int) -> None:
        key = event.value
        here = self._here
        if key in here:
            self._faults.duplicate(key, at, here.key_offset(key))
        self._key = key
        self._key_at = at
        if event.tag is not None:
            self._tagged(event, at)
        elif event.implicit[0]:
            if not key:
                self._faults.add(at, "a key is missing before ':'")
            elif key == MERGE_KEY:
                self._merging.add(id(here))
        if not key.isascii():
            check_surrogates(key, at, self._faults)
        if event.anchor is not None:
            self._aliases.define(event.anchor, key)

    def _deliver(self, value: Json, at: int) -> None:
        here: Any = self._here
        key = self._key
        if key is not None:
            here[key] = value
            here.key_places[key] = pack(self._key_at, at)
            self._key = None
        elif here is not None:
            here.append(value)
            here.item_places.append(at)
        else:
            self._root = value

    def _start_mapping(self, event: Any) -> None:
        self._start(LocatedDict(self._source, event.start_mark.index), event, "map")

    def _start_sequence(self, event: Any) -> None:
        self._start(LocatedList(self._source, event.start_mark.index), event, "seq")

    def _start(self, container: Any, event: Any, kind: str) -> None:
        at = container.at
        if self._key is None and self._here.__class__ is LocatedDict:
            self._faults.stop(
                at,
                "a key must be text, not a mapping or a list",
                hint="put a value that begins with '{{' or '[' into quotes",
            )
        if event.tag is not None and event.tag not in ("!", STANDARD + kind):
            self._refuse_tag(event.tag, at)
        if event.anchor is not None:
            self._aliases.define(event.anchor, container)
        self._deliver(container, at)
        self._outer.append(self._here)
        self._here = container
        if len(self._outer) > MAX_DEPTH:
            self._faults.too_deep(at)

    def _end_mapping(self, event: Any) -> None:
        if self._merging and id(self._here) in self._merging:
            self._merging.discard(id(self._here))
            merge(self._here, self._faults)
        self._end(event)

    def _end(self, _event: Any) -> None:
        self._here = self._outer.pop()

    def _alias(self, event: Any) -> None:
        at = event.start_mark.index
        if self._key is None and self._here.__class__ is LocatedDict:
            self._faults.stop(at, "an alias cannot be a key", hint="write the key out")
        inside = [*self._outer[1:], self._here]
        self._deliver(self._aliases.use(event.anchor, at, inside), at)

    def _meaning(self, text: str, at: int) -> Scalar:
        meanings = self._meanings
        if text not in meanings:
            try:
                meanings[text] = plain(text)
            except ValueError as error:
                self._faults.add(at, str(error), hint="put it into quotes to keep it")
                return text
        return meanings[text]

    def _tagged(self, event: Any, at: int) -> Scalar:
        text: str = event.value
        if event.tag == "!":
            return text
        try:
            return tagged(event.tag, text)
        except KeyError:
            self._refuse_tag(event.tag, at)
        except (ValueError, OverflowError) as error:
            self._faults.add(at, str(error))
        return text

    def _refuse_tag(self, tag: str, at: int) -> None:
        name = tag.replace(STANDARD, "!!")
        self._faults.add(
            at,
            f"tag {shown(name)} is not supported",
            hint="put text that begins with '!' into quotes",
        )


def _ignore(_event: Any) -> None:
    """Pass over an event that says nothing about values."""
