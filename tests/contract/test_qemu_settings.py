"""What a suite may say of a QEMU machine, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vmsuite.model import Location, MachineSpec
from vmsuite.ports import (
    Channels,
    GuestAgent,
    GuestImage,
    GuestRecipe,
    Network,
    Observer,
    Power,
    Screen,
    Shell,
)
from vmsuite.registry import load_registry
from vmsuite_plugins.drivers import qemu
from vmsuite_plugins.drivers.qemu.driver import QemuDriver
from vmsuite_plugins.drivers.qemu.settings import QemuSettings


class Recipe:
    """A guest recipe that lacks something, or nothing."""

    name = "tiny"
    description = "for tests"

    def __init__(self, missing: Sequence[str] = (), *, lies: bool = False) -> None:
        self._missing = missing
        self._lies_there = lies

    def missing(self) -> Sequence[str]:
        return self._missing

    def built(self, cache_dir: Path) -> GuestImage | None:
        image = GuestImage(name="tiny", digest="d", least_memory=160 << 20)
        return image if self._lies_there else None

    def build(self, cache_dir: Path, log: Callable[[str], None]) -> GuestImage:
        raise AssertionError("nothing is built for a check")


def settings(**fields: Any) -> QemuSettings:
    return QemuSettings.model_validate({"guest": "tiny", **fields})


def findings(
    folder: Path, guests: Mapping[str, GuestRecipe] | None = None, **fields: Any
) -> list[str]:
    spec = MachineSpec(
        location=Location(file="s.yaml", line=3, column=5),
        name="vm",
        driver="qemu",
        settings=QemuSettings.model_validate(fields),
    )
    return [str(f) for f in QemuDriver().check(spec, guests or {}, folder)]


def test_the_plugin_brings_the_driver() -> None:
    assert list(load_registry([qemu]).drivers) == ["qemu"]


def test_every_field_is_described() -> None:
    properties = QemuSettings.model_json_schema()["properties"]
    assert [
        name for name, field in properties.items() if "description" not in field
    ] == []
    assert QemuSettings.model_json_schema()["additionalProperties"] is False


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"guest": None}, "needs a guest, kernel, disk or iso"),
        ({"guest": None, "disk": "d", "initrd": "i"}, "initrd needs a kernel"),
        ({"network": "none", "forwards": [7]}, "forwards need a network"),
        ({"network": "none", "agents": ["web"]}, "agents call by network"),
        ({"agents": ["telnet"]}, "'web', 'tcp' or 'verifier'"),
        ({"forwards": [0]}, "greater than or equal to 1"),
        ({"channels": ["a,b"]}, "should match pattern"),
        ({"ready": "sometime"}, "should match pattern"),
        ({"ready": "console:("}, "no regular expression"),
        ({"crash_patterns": ["["]}, "no regular expression"),
        ({"memory": "lots"}, "not a size"),
        ({"cpus": 0}, "greater than or equal to 1"),
        ({"keybord": "ps2"}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**fields)


def test_a_machine_offers_what_its_settings_allow() -> None:
    offered = QemuDriver().capabilities
    full = offered(settings(channels=["x"]))
    assert {Power, Shell, GuestAgent, Screen, Network, Channels} <= full
    fields = {"shell": "serial", "display": "none", "network": "none"}
    bare = offered(settings(**fields))
    assert full - bare == {GuestAgent, Observer, Screen, Network, Channels}


def test_missing_files_are_found_before_anything_boots(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "odd.img").write_bytes(b"odd")
    (tmp_path / "vm.vmdk").write_bytes(b"KDMV".ljust(512, b"\0"))
    found = findings(
        tmp_path,
        kernel="no/kernel",
        initrd="folder",
        disks=["odd.img", "vm.vmdk"],
        iso="no.iso",
    )
    odd = "3 bytes are no disk image (raw or qcow2 is expected)"
    foreign = "a vmdk image (qemu-img convert -O qcow2 vm.vmdk vm.qcow2)"
    assert [line.split(": ", 2)[2] for line in found] == [
        f"kernel: {tmp_path}/no/kernel: no such file",
        f"initrd: {tmp_path}/folder: is a folder",
        f"iso: {tmp_path}/no.iso: no such file",
        f"disk: {tmp_path}/odd.img: {odd}",
        f"disk: {tmp_path}/vm.vmdk: {foreign}",
    ]
    assert found[0].startswith("s.yaml:3:5: machine 'vm': ")


def test_good_files_are_no_finding(tmp_path: Path) -> None:
    for name in ("kernel", "initrd", "iso"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "disk").write_bytes(bytes(512))
    files: dict[str, Any] = {
        "kernel": "kernel",
        "initrd": "initrd",
        "iso": "iso",
        "disk": "disk",
    }
    assert findings(tmp_path, **files) == []
    absolute: dict[str, Any] = {name: str(tmp_path / name) for name in files}
    assert findings(Path("/"), **absolute) == []


def test_a_guest_that_is_not_known_is_found_with_the_nearest(tmp_path: Path) -> None:
    (line,) = findings(tmp_path, {"tiny": Recipe()}, guest="tny")
    assert "no guest recipe is called 'tny' (did you mean 'tiny'?)" in line
    (line,) = findings(tmp_path, {"tiny": Recipe()}, guest="windows-98")
    assert "(known: tiny)" in line


def test_what_a_recipe_lacks_is_found(tmp_path: Path) -> None:
    lacking = {"tiny": Recipe(["cpio: apt-get install cpio"])}
    (line,) = findings(tmp_path, lacking, guest="tiny")
    assert "cannot be built: cpio: apt-get install cpio" in line
    assert findings(tmp_path, {"tiny": Recipe()}, guest="tiny") == []
    built = {"tiny": Recipe(["cpio: apt-get install cpio"], lies=True)}
    assert findings(tmp_path, built, guest="tiny") == []


def test_too_little_memory_for_a_guest_is_found(tmp_path: Path) -> None:
    built = {"tiny": Recipe(lies=True)}
    (line,) = findings(tmp_path, built, guest="tiny", memory="128M")
    assert "128 MiB are too little for guest 'tiny' (it needs 160 MiB)" in line
    assert findings(tmp_path, built, guest="tiny", memory="160M") == []
