"""Reads suite files: from bytes on disk to a located document, or findings."""

from __future__ import annotations

import gc
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from vmsuite.documents.document import Document
from vmsuite.documents.faults import Faults
from vmsuite.documents.json_format import parse_json
from vmsuite.documents.limits import MAX_BYTES
from vmsuite.documents.places import Source
from vmsuite.documents.yaml_format import parse_yaml
from vmsuite.errors import InvalidSuite
from vmsuite.findings import Finding
from vmsuite.model import Json, Location
from vmsuite.quantities import show_size

FORMATS = {".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}
"""Formats by the suffix of a file's name."""


def _parse_toml(text: str, source: Source) -> Json:
    # Most suites are YAML: they need not wait for tomllib and tree-sitter.
    from vmsuite.documents.toml_format import parse_toml  # noqa: PLC0415

    return parse_toml(text, source)


_PARSERS: dict[str, Callable[[str, Source], Json]] = {
    "yaml": parse_yaml,
    "toml": _parse_toml,
    "json": parse_json,
}
_UNPRINTABLE = re.compile(  # a negated class takes ten times as long to compile
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""What YAML calls not printable, and byte order marks that are not in front."""
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""How files in UTF-16 (and, with two more bytes, UTF-32) begin."""


def read(path: Path, *, shown_as: str | None = None) -> Document:
    """Read a suite file; its suffix tells the format.

    Args:
        path: the file.
        shown_as: how findings name it; the path itself if not given.

    Raises:
        InvalidSuite: it cannot be read, or its content is wrong.

    """
    file = _showable(shown_as or str(path))
    content = _content(path, file)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        named = f"the suffix {suffix!r} tells" if suffix else "without a suffix it has"
        _refuse(file, f"{named} no format", "name it .yaml, .yml, .toml or .json")
    return replace(parse(content, file=file, format=FORMATS[suffix]), path=path)


def parse(content: bytes, *, file: str, format: str) -> Document:  # noqa: A002 - it is the word
    """Parse content in one of the formats ``yaml``, ``toml`` and ``json``.

    Raises:
        InvalidSuite: it is no text, or not of that format, or breaks a limit.

    """
    if format not in _PARSERS:
        _refuse(file, f"format {format!r} is unknown", "yaml, toml and json are known")
    text = _text(content, file)
    source = Source(file, text)
    if bad := _UNPRINTABLE.search(text):
        Faults(source).stop(
            bad.start(),
            f"character U+{ord(bad[0]):04X} cannot be part of a text file",
            hint="leave it out, or write an escape in double quotes",
        )
    with _collector_off():
        value = _PARSERS[format](text, source)
    return Document(file=file, format=format, value=value)


@contextmanager
def _collector_off() -> Iterator[None]:
    """Let the garbage collector rest: a document has no cycles.

    Looking for them among so many new objects costs several times the parsing.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _content(path: Path, file: str) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            _refuse(file, "is a folder, not a suite file", "name a file in it")
        if not stat.S_ISREG(status.st_mode):  # reading a pipe could wait for ever
            _refuse(file, "is a device, pipe or socket, not a suite file")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        _refuse(file, "no such file", "check the path")
    except OSError as error:
        _refuse(file, f"cannot be read: {error.strerror or error}")
    except ValueError as error:  # a null character in the path
        _refuse(file, f"cannot be read: {error}")
    if len(content) > MAX_BYTES:
        _refuse(
            file,
            f"is larger than {show_size(MAX_BYTES)}",
            "split it, and name the parts under 'include'",
        )
    return content


def _text(content: bytes, file: str) -> str:
    """Return content as text, without its byte order mark."""
    if content.startswith(_WIDE_MARKS):
        _refuse(file, "is in UTF-16 or UTF-32", "save it as UTF-8")
    if b"\0" in content:
        _refuse(file, "is a binary file, not text")
    try:
        return content.decode("utf-8").removeprefix("\N{BOM}")
    except UnicodeDecodeError as error:
        line_start = content.rfind(b"\n", 0, error.start) + 1
        column = len(content[line_start : error.start].decode()) + 1
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidSuite(
            [
                Finding(
                    location=Location(file=file, line=line, column=column),
                    message=f"byte 0x{content[error.start]:02X} is no UTF-8",
                    hint="save the file as UTF-8",
                )
            ]
        ) from None


def _refuse(file: str, message: str, hint: str = "") -> NoReturn:
    """Raise InvalidSuite for a file as a whole."""
    raise InvalidSuite(
        [Finding(location=Location(file=file), message=message, hint=hint)]
    ) from None


def _showable(name: str) -> str:
    """Return a file's name with bytes that are no UTF-8 written as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
