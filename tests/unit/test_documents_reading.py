from __future__ import annotations

import contextlib
import gc
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vmsuite.documents import Document, parse, read
from vmsuite.errors import InvalidSuite


def refusal(path: Path, shown_as: str | None = "s") -> str:
    with pytest.raises(InvalidSuite) as caught:
        read(path, shown_as=shown_as)
    (finding,) = caught.value.findings
    return str(finding)


@pytest.mark.parametrize(
    ("name", "content", "format_"),
    [
        ("a.yaml", "name: x", "yaml"),
        ("a.YML", "name: x", "yaml"),
        ("a.toml", "name = 'x'", "toml"),
        ("a.json", '{"name": "x"}', "json"),
    ],
)
def test_the_suffix_tells_the_format(
    tmp_path: Path, name: str, content: str, format_: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    document = read(path)
    assert document.value == {"name": "x"}
    assert (document.format, document.path) == (format_, path)
    assert document.file == str(path) == document.location.file


def test_a_file_is_shown_as_one_wants(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: [")
    assert refusal(path, "suites/a.yaml").startswith("suites/a.yaml:1:5: ")


def nothing(path: Path) -> None:
    del path


def binary(path: Path) -> None:
    path.write_bytes(b"\x7fELF\0\0\1")


def latin_1(path: Path) -> None:
    path.write_bytes("a: 1\nbé: caf\xe9".encode()[:-2] + b"\xe9")


def utf_16(path: Path) -> None:
    path.write_text("a: 1", encoding="utf-16")


def huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate((64 << 20) + 1)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (nothing, "s: no such file (check the path)"),
        (Path.mkdir, "s: is a folder, not a suite file (name a file in it)"),
        (os.mkfifo, "s: is a device, pipe or socket, not a suite file"),
        (binary, "s: is a binary file, not text"),
        (latin_1, "s:2:8: byte 0xE9 is no UTF-8 (save the file as UTF-8)"),
        (utf_16, "s: is in UTF-16 or UTF-32 (save it as UTF-8)"),
        (Path.touch, "s:1:1: the file is empty"),
        (
            huge,
            "s: is larger than 64 MiB (split it, and name the parts under 'include')",
        ),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_what_is_no_suite_file_is_one_finding(
    tmp_path: Path, make: Callable[[Path], None], expected: str
) -> None:
    path = tmp_path / "suite.yaml"
    make(path)
    assert refusal(path) == expected


def test_a_suffix_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    for name, said in (
        ("suite.txt", "the suffix '.txt' tells no format"),
        ("suite", "without a suffix it has no format"),
    ):
        (tmp_path / name).write_text("name: x")
        assert refusal(tmp_path / name) == (
            f"s: {said} (name it .yaml, .yml, .toml or .json)"
        )


def test_a_path_below_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be read: Not a directory" in refusal(tmp_path / "file" / "s.yaml")


def test_a_file_that_fails_to_be_read_is_a_finding() -> None:
    # The first page of a process is not mapped: reading it is an I/O error.
    assert refusal(Path("/proc/self/mem")) == "s: cannot be read: Input/output error"


def test_a_path_that_cannot_be_is_a_finding(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "a\0.yaml")
    assert "cannot be read" in refusal(tmp_path / ("a" * 300 + ".yaml"))


def test_a_name_that_is_no_text_can_be_shown(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml"))
    finding = refusal(path, None)
    assert finding.encode().startswith(os.fsencode(tmp_path) + rb"/\xff.yaml: no such")


@pytest.mark.parametrize("format_", ["yaml", "toml", "json"])
@pytest.mark.parametrize("bad", ["\x07", "\x1b", "\x7f", "\x9b", "\ufeff", "\uffff"])
def test_control_characters_are_refused(format_: str, bad: str) -> None:
    with pytest.raises(InvalidSuite) as caught:
        parse(f'"a\n {bad}'.encode(), file="s", format=format_)
    (finding,) = caught.value.findings
    assert str(finding.location) == "s:2:2"
    assert f"character U+{ord(bad):04X} cannot" in finding.message


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidSuite, match="1 findings"):
        parse(b"", file="s", format="xml")


@pytest.mark.parametrize("content", [b"a: 1", b"a: ["])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(content: bytes, enabled: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with contextlib.suppress(InvalidSuite):
            parse(content, file="s", format="yaml")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


@pytest.mark.parametrize("format_", ["yaml", "json", "toml"])
def test_every_format_nests_equally_deep(format_: str) -> None:
    def nested(levels: int) -> bytes:
        table = format_ == "toml"  # which is a level itself
        brackets = levels - table
        return (table * "a=" + "[" * brackets + "1" + "]" * brackets).encode()

    assert parse(nested(64), file="s", format=format_).value
    with pytest.raises(InvalidSuite) as caught:
        parse(nested(65), file="s", format=format_)
    assert "more than 64 levels deep" in caught.value.findings[0].message


def located() -> Document:
    text = "a:\n  - b: 1\n    c: {d: x}\n"
    return parse(text.encode(), file="s", format="yaml")


@pytest.mark.parametrize(
    ("pointer", "key", "expected"),
    [
        ([], False, "s:1:1"),
        (["a"], True, "s:1:1"),
        (["a"], False, "s:2:3"),
        (["a", 0], False, "s:2:5"),
        (["a", 0, "c"], True, "s:3:5"),
        (["a", 0, "c", "d"], False, "s:3:12"),
        (["a", 0, "c", "missing"], True, "s:3:8"),
        (["a", 7, "c"], False, "s:2:3"),
        (["a", -1], False, "s:2:3"),
        (["a", "b"], False, "s:2:3"),
        (["a", 0, "b", "deeper", 1], False, "s:2:8"),
        (["missing"], True, "s:1:1"),
        ([0], False, "s:1:1"),
    ],
)
def test_a_pointer_leads_to_the_place_or_the_nearest_around(
    pointer: list[str | int], key: bool, expected: str
) -> None:
    assert str(located().locate(pointer, key=key)) == expected


def test_a_document_that_is_no_container_is_at_the_start() -> None:
    document = parse(b"# x\nhello", file="s", format="yaml")
    assert document.value == "hello"
    assert str(document.locate(["a"])) == str(document.location) == "s:1:1"


# --- in time ----------------------------------------------------------------------

CASE = """\
  - name: case-{0:05d}
    tags: [smoke, g{0}]
    steps:
      - {{type: wait, duration: 200ms}}
      - type: run
        command: echo {0}
"""
TABLES = """\
[[cases]]
name = "case-{0:05d}"
[[cases.steps]]
type = "run"
command = "echo {0}"
"""


def seconds_of(content: bytes, format_: str) -> float:
    """Return the processor's time; the machine may be busy with others."""
    begun = time.process_time()
    document = parse(content, file="s", format=format_)
    took = time.process_time() - begun
    assert document.value["cases"][-1]["steps"][-1]["type"] == "run"
    return took


def test_ten_thousand_cases_take_well_under_a_second() -> None:
    text = "cases:\n" + "".join(map(CASE.format, range(10_000)))
    assert seconds_of(text.encode(), "yaml") < 1.0


def test_ten_megabytes_of_yaml_are_read_in_time() -> None:
    text = "cases:\n" + "".join(map(CASE.format, range(80_000)))
    assert len(text) > 9 << 20
    assert seconds_of(text.encode(), "yaml") < 10


@pytest.mark.full
def test_ten_megabytes_of_toml_are_read_in_time() -> None:
    text = "".join(map(TABLES.format, range(130_000)))
    assert len(text) > 9 << 20
    assert seconds_of(text.encode(), "toml") < 30


@pytest.mark.full
def test_ten_megabytes_of_json_are_read_in_time() -> None:
    case = {"name": "x" * 40, "steps": [{"type": "run", "number": 1}]}
    text = json.dumps({"cases": [case] * 110_000})
    assert len(text) > 9 << 20
    assert seconds_of(text.encode(), "json") < 10


def test_ten_megabytes_of_one_text_are_read_in_time() -> None:
    lines = "  all work and no play\n" * 500_000
    document = parse(f"cases: |\n{lines}".encode(), file="s", format="yaml")
    assert len(document.value["cases"]) > 9 << 20
    text = json.dumps({"cases": "\\x" * (5 << 20)})
    assert len(parse(text.encode(), file="s", format="json").value["cases"]) > 9 << 20
