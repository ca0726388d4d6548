"""Overlays are sound qcow2 images on the disk that was given."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import PlatformError
from vmsuite_plugins.drivers.qemu.overlays import inspect, write_overlay
from vmsuite_plugins.drivers.qemu.own_files import OwnFiles

needs_qemu_img = pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="qemu-img is the judge: qemu-utils"
)


def qemu_img(*words: str | Path) -> Any:
    done = subprocess.run(
        ["qemu-img", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--output=json" in words else done.stdout


def overlay_on(disk: Path) -> Path:
    overlay = disk.with_suffix(".overlay")
    with overlay.open("wb") as file:
        write_overlay(file, inspect(disk))
    return overlay


@needs_qemu_img
@pytest.mark.parametrize("size", [512, 1 << 20, (8 << 30) + 512, 3 << 40])
def test_an_overlay_on_a_raw_disk_is_sound(tmp_path: Path, size: int) -> None:
    disk = tmp_path / "a disk, with: commas.img"
    with disk.open("wb") as file:
        file.write(b"begin")
        file.truncate(size)
    overlay = overlay_on(disk)
    assert qemu_img("check", "--output=json", overlay)["check-errors"] == 0
    said = qemu_img("info", "--output=json", overlay)
    assert said["virtual-size"] == size
    assert said["full-backing-filename"] == str(disk)
    assert said["backing-filename-format"] == "raw"


@needs_qemu_img
def test_an_overlay_on_qcow2_shows_its_content(tmp_path: Path) -> None:
    raw, disk = tmp_path / "raw", tmp_path / "disk.qcow2"
    raw.write_bytes(b"content" * 1024 * 73)
    qemu_img("convert", "-O", "qcow2", raw, disk)
    overlay = overlay_on(disk)
    assert qemu_img("compare", overlay, disk) == "Images are identical.\n"


@needs_qemu_img
def test_a_raw_disk_that_looks_like_qcow2_inside_stays_raw(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(512) + b"QFI\xfb".ljust(512, b"\0"))
    said = qemu_img("info", "--output=json", overlay_on(disk))
    assert said["backing-filename-format"] == "raw"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes are no disk image"),
        (b"x" * 100, "100 bytes are no disk image"),
        (b"vhdxfile".ljust(512), "a vhdx image .*qemu-img convert"),
        (None, "No such file"),
    ],
)
def test_what_is_no_disk_is_told(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    disk = tmp_path / "disk"
    if content is not None:
        disk.write_bytes(content)
    with pytest.raises(PlatformError, match=message):
        inspect(disk)


def test_own_files_have_no_name_and_are_gone_when_closed(tmp_path: Path) -> None:
    disk, folder = tmp_path / "disk", tmp_path / "folder"
    disk.write_bytes(bytes(512))
    folder.mkdir()
    files = OwnFiles(folder)
    one, other = files.overlay(inspect(disk)), files.copy(disk)
    assert one != other
    assert list(folder.iterdir()) == []
    files.close()
    assert not [fd for fd in (one, other) if Path(f"/proc/self/fd/{fd}").exists()]
