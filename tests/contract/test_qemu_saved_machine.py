"""``machine.json`` is data from outside: what is not ours is refused in words."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import PlatformError
from vmsuite.ports import STATE_FILE
from vmsuite_plugins.drivers.qemu import saved_machine
from vmsuite_plugins.drivers.qemu.overlays import (
    backing_file,
    inspect,
    rebase,
    write_overlay,
)
from vmsuite_plugins.drivers.qemu.saved_machine import SavedMachine

GOOD: Mapping[str, Any] = {
    "driver": "qemu",
    "format": 1,
    "qemu": "7.2.22",
    "name": "vm, with a comma",
    "machine": "q35",
    "accel": "tcg",
    "cpu": "qemu64,+x2apic",
    "cpus": 1,
    "memory": 256 << 20,
    "named_memory": True,
    "kernel": "/boot/vmlinuz",
    "initrd": None,
    "append": "console=ttyS0",
    "iso": None,
    "firmware_code": None,
    "disks": 1,
    "based_on": [{"path": "/disk.img", "size": 512, "changed": 7}],
    "keyboard": "ps2",
    "pointer": "virtio-tablet",
    "display": "none",
    "network": "isolated",
    "forwards": [7],
    "channels": ["test"],
    "agent": True,
    "qemu_args": [],
    "running": True,
}


def written(folder: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    (folder / STATE_FILE).write_bytes(data)
    return folder


def changed(**values: Any) -> str:
    return json.dumps({**GOOD, **values})


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    saved = SavedMachine.model_validate(GOOD)
    saved_machine.write(tmp_path, saved)
    assert saved_machine.read(tmp_path) == saved


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (changed(format=2), "format"),
        (changed(driver="libvirt"), "driver"),
        (changed(binary="/tmp/evil"), "binary"),
        (changed(machine="q35,dumpdtb=/etc/passwd"), "machine"),
        (changed(accel="tcg,tb-size=1"), "accel"),
        (changed(cpu="host -chardev pipe,id=x"), "cpu"),
        (changed(memory=0), "memory"),
        (changed(memory="256M"), "memory"),
        (changed(cpus=True), "cpus"),
        (changed(network="tap,script=/tmp/evil"), "network"),
        (changed(keyboard="none"), "keyboard"),
        (changed(forwards=[0]), r"forwards\.0"),
        (changed(forwards=["7-:22,hostfwd=tcp::1"]), r"forwards\.0"),
        (changed(channels=["a,path=/etc"]), r"channels\.0"),
        (changed(channels=["../up"]), r"channels\.0"),
        (changed(append="a\0b"), "append"),
        (changed(based_on=[{"path": "/x"}]), r"based_on\.0\.size"),
        (changed(disks=-1), "disks"),
        ("{", "JSON"),
        ("[]", "object"),
        (b"\xff\xfe", STATE_FILE),
        (" " * (1 << 20) + changed(), "larger than"),
        ('{"a":' * 5000, STATE_FILE),
    ],
)
def test_what_is_not_ours_is_refused(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    with pytest.raises(PlatformError, match=told):
        saved_machine.read(written(tmp_path, text))


@pytest.mark.parametrize("name", sorted(GOOD))
def test_no_field_may_be_missing(tmp_path: Path, name: str) -> None:
    fewer = {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(PlatformError, match=name):
        saved_machine.read(written(tmp_path, json.dumps(fewer)))


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="No such file"):
        saved_machine.read(tmp_path)


def test_what_the_host_lacks_or_changed_is_told(tmp_path: Path) -> None:
    disk, kernel = tmp_path / "disk.img", tmp_path / "kernel"
    disk.write_bytes(bytes(512))
    kernel.write_bytes(b"k")
    values = {
        **GOOD,
        "kernel": str(kernel),
        "based_on": [saved_machine.known_file(disk).model_dump()],
    }
    saved = SavedMachine.model_validate(values)
    assert list(saved.troubles()) == []
    os.utime(disk, ns=(1, 1))
    assert list(saved.troubles()) == [f"{disk}: it was changed since"]
    disk.unlink()
    kernel.unlink()
    assert list(saved.troubles()) == [
        f"{kernel}: no such file",
        f"{disk}: No such file or directory",
    ]


def test_an_overlay_is_based_on_another_name(tmp_path: Path) -> None:
    """One that is longer than the former, and one beside it."""
    (tmp_path / "a").write_bytes(bytes(1024))
    overlay = tmp_path / "overlay"
    with overlay.open("w+b") as file:
        write_overlay(file, inspect(tmp_path / "a"))
    for name in ("base0.qcow2", "a-much-longer-name-than-before" * 5):
        (tmp_path / name).write_bytes(b"there")
        rebase(overlay, name)
        assert backing_file(overlay) == tmp_path / name
    assert inspect(overlay).size == 1024


def test_what_is_no_overlay_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(bytes(512))
    with pytest.raises(ValueError, match="not qcow2"):
        rebase(path, "x")
    assert path.read_bytes() == bytes(512)
