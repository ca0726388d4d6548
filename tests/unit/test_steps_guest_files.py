"""Files into the guest and out of it, and never out of the artifact folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import CheckFailed, PlatformError
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.virtualization.guest_files import GetFile, PutFile
from vmsuite_plugins.steps.virtualization.screen import Screenshot

FILES = {"/etc/motd": "hello\n", "/var/log/x.log": "y" * 100}


def done(folder: Path, kind: Any, fields: dict[str, Any]) -> tuple[Any, Any, Any]:
    async def story(
        context: FakeContext, machine: FakeMachine
    ) -> tuple[Any, FakeContext, FakeMachine]:
        return await perform(kind, context, fields), context, machine

    return on_fake(folder, story, {"files": FILES})


def test_content_is_written_with_its_mode(tmp_path: Path) -> None:
    fields = {"path": "/tmp/é", "content": "grüße", "mode": "0755"}
    output, _, machine = done(tmp_path, PutFile, fields)
    assert machine.shell.files["/tmp/é"] == "grüße".encode()
    assert machine.shell.modes["/tmp/é"] == 0o755
    assert output == {"path": "/tmp/é", "size": 7}


def test_a_source_lies_beside_the_suite(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"\0\xff")
    _, _, machine = done(tmp_path, PutFile, {"path": "/a", "source": "data.bin"})
    assert machine.shell.files["/a"] == b"\0\xff"
    assert machine.shell.modes["/a"] == 0o644


@pytest.mark.parametrize(
    ("source", "message"),
    [("missing", "missing: no such file"), (".", "not a file")],
)
def test_a_source_that_cannot_be_read_is_an_error(
    tmp_path: Path, source: str, message: str
) -> None:
    with pytest.raises(PlatformError, match=message):
        done(tmp_path, PutFile, {"path": "/a", "source": source})


def test_planning_wants_one_content() -> None:
    assert list(PutFile.troubles({"path": "/a"}, None))
    assert list(PutFile.troubles({"content": "", "source": "x"}, None))
    assert list(PutFile.troubles({"content": ""}, None)) == []


def test_a_file_of_the_guest_becomes_an_artifact(tmp_path: Path) -> None:
    output, context, _ = done(tmp_path, GetFile, {"path": "/etc/motd"})
    path = tmp_path / "artifacts" / "motd"
    assert path.read_text() == "hello\n"
    assert output == {"path": str(path), "size": 6, "content": "hello\n"}
    assert [a.path for a in context.attachments] == ["artifacts/motd"]
    assert "/etc/motd of vm-001" in context.attachments[0].title


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    for _ in range(3):
        done(tmp_path, GetFile, {"path": "/etc/motd", "to": "deep/er/a.txt"})
    names = sorted(path.name for path in (tmp_path / "artifacts/deep/er").iterdir())
    assert names == ["a-2.txt", "a-3.txt", "a.txt"]


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "..", ".", "", "/", "a\0b"]
)
def test_nothing_is_written_outside_of_the_artifacts(tmp_path: Path, name: str) -> None:
    for kind, field in ((GetFile, "to"), (Screenshot, "name")):
        with pytest.raises(ValueError, match="validation error"):
            kind.model_validate({"path": "/a"} | {field: name})


def test_also_not_by_a_guests_path(tmp_path: Path) -> None:
    assert list(GetFile.troubles({"path": "/"}, None))
    assert list(GetFile.troubles({"path": "/a/.."}, None))
    assert list(GetFile.troubles({"path": "/", "to": "root"}, None)) == []
    assert list(GetFile.troubles({"path": "{{ p }}"}, None)) == []
    assert list(GetFile.troubles({"path": "C:\\Windows\\x.log"}, None)) == []


def test_a_file_that_is_no_text_has_no_content(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> Any:
        machine.shell.files |= {
            "/b": b"\xff\xfe",
            "/c": b"a\0b",
            "/d": b"z" * (2 << 20),
        }
        return [
            (await perform(GetFile, context, {"path": path}))["content"]
            for path in ("/b", "/c", "/d", "/etc/motd")
        ]

    contents = on_fake(tmp_path, story, {"files": FILES})
    assert contents == [None, None, None, "hello\n"]


def test_missing_and_too_large_files_fail(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="/no/such"):
        done(tmp_path, GetFile, {"path": "/no/such"})
    with pytest.raises(CheckFailed, match=r"/var/log/x\.log"):
        done(tmp_path, GetFile, {"path": "/var/log/x.log", "limit": "50"})
    assert list(tmp_path.rglob("*.log")) == []


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "sub").write_text("a file, not a folder")
    with pytest.raises(PlatformError, match="cannot be written"):
        done(tmp_path, GetFile, {"path": "/etc/motd", "to": "sub/x"})


def test_a_screenshot_is_kept_and_attached(tmp_path: Path) -> None:
    output, context, _ = done(tmp_path, Screenshot, {})
    path = tmp_path / "artifacts" / "screenshot.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert output == {"path": str(path), "width": 1024, "height": 768}
    assert context.attachments[0].kind == "screenshot"
    output, _, _ = done(tmp_path, Screenshot, {"name": "screenshot.png"})
    assert output["path"].endswith("screenshot-2.png")


def test_what_is_no_png_is_an_error(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        async def broken() -> bytes:
            return b"P6 1 1 255 ..."

        machine.screen.screenshot = broken  # type: ignore[method-assign] # a fault
        with pytest.raises(PlatformError, match="no PNG"):
            await perform(Screenshot, context, {})

    on_fake(tmp_path, story)
