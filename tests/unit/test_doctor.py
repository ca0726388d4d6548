"""What ``run-suite doctor`` says about parts that are there, missing or broken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from vmsuite.doctor import diagnose
from vmsuite.hookspecs import hookimpl
from vmsuite.ports import Diagnosis, GuestImage
from vmsuite.registry import load_registry
from vmsuite_plugins.drivers import libvirt_doctor, qemu_doctor


class Recipe:
    name = "rocket"
    description = "a guest of this test"

    def __init__(
        self, image: GuestImage | None = None, missing: Sequence[str] = ()
    ) -> None:
        self._image = image
        self._missing = missing

    def missing(self) -> Sequence[str]:
        return self._missing

    def built(self, cache_dir: Path) -> GuestImage | None:
        return self._image

    def build(self, cache_dir: Path, log: Callable[[str], None]) -> GuestImage:
        raise AssertionError("a doctor builds nothing")


def plugin_of(recipe: Recipe) -> object:
    return SimpleNamespace(vmsuite_guests=hookimpl(lambda: (recipe,)))


def by_name(*plugins: object) -> dict[str, Diagnosis]:
    return {found.name: found for found in diagnose(load_registry(plugins))}


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VMSUITE_CACHE", str(folder))
    return folder


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is all of PATH, beside what sh itself needs."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_host_is_described_without_any_plugin() -> None:
    found = by_name()
    assert list(found) == [
        *("vmsuite", "processors", "memory", "cache", "vsock", "cargo"),
    ]
    assert f"{len(os.sched_getaffinity(0))} cores" in found["processors"].detail
    assert found["vmsuite"].ok
    assert all(one.remedy for one in found.values() if not one.ok)


def test_a_doctor_that_raises_is_a_finding_and_the_others_are_still_asked() -> None:
    def broken() -> Iterator[Diagnosis]:
        yield Diagnosis(name="first look", ok=True)
        raise RuntimeError("the stethoscope is broken")

    def healthy() -> Iterator[Diagnosis]:
        yield Diagnosis(name="second doctor", ok=True)

    plugin = SimpleNamespace(vmsuite_doctors=hookimpl(lambda: (broken, healthy)))
    found = by_name(plugin)
    assert found["first look"].ok
    assert found["second doctor"].ok
    (complaint,) = [one for one in found.values() if "stethoscope" in one.detail]
    assert not complaint.ok


def test_a_cache_folder_that_cannot_be_made_names_the_way_out(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    found = by_name()["cache"]
    assert not found.ok
    assert str(cache) in found.detail
    assert "VMSUITE_CACHE" in found.remedy


def test_the_cache_says_how_much_lies_in_it(cache: Path) -> None:
    (cache / "guests").mkdir(parents=True)
    (cache / "guests/image").write_bytes(b"x" * (5 << 20))
    assert "5 MiB used" in by_name()["cache"].detail


def test_a_guest_that_is_built_shows_its_versions(tmp_path: Path) -> None:
    image = GuestImage(
        name="rocket",
        digest="0123abcd",
        kernel=tmp_path / "kernel",
        facts={"kernel": "9.9"},
    )
    found = by_name(plugin_of(Recipe(image)))["guest rocket"]
    assert found.ok
    assert "0123abcd" in found.detail
    assert "kernel 9.9" in found.detail


def test_a_guest_that_can_be_built_names_the_command() -> None:
    found = by_name(plugin_of(Recipe()))["guest rocket"]
    assert (found.ok, found.remedy) == (False, "run-suite guest build rocket")


def test_a_guest_that_cannot_be_built_names_what_is_missing() -> None:
    found = by_name(plugin_of(Recipe(missing=["fuel: apt-get install fuel"])))
    assert found["guest rocket"].remedy == "fuel: apt-get install fuel"


def test_without_qemu_nothing_is_tried_and_the_package_is_named(tools: Path) -> None:
    found = by_name(qemu_doctor)
    assert not found["qemu-system-x86_64"].ok
    assert found["qemu-system-x86_64"].remedy == "apt-get install qemu-system-x86"
    assert found["qemu-img"].remedy == "apt-get install qemu-utils"
    assert "accelerator kvm" not in found


def test_an_accelerator_counts_only_if_a_machine_ran_with_it(tools: Path) -> None:
    program(
        tools,
        "qemu-system-x86_64",
        'case "$*" in\n'
        '  --version) echo "QEMU emulator version 99" ;;\n'
        "  *'-accel tcg'*) printf 'SeaBIOS (version x)' ;;\n"
        "  *) echo 'kvm is only a file here' >&2; exit 1 ;;\n"
        "esac",
    )
    found = by_name(qemu_doctor)
    assert "QEMU emulator version 99" in found["qemu-system-x86_64"].detail
    assert found["accelerator tcg"].ok
    assert not found["accelerator kvm"].ok
    assert found["accelerator kvm"].detail == "kvm is only a file here"
    assert found["accelerator kvm"].remedy


def test_a_qemu_that_does_not_start_is_not_ok(tools: Path) -> None:
    program(tools, "qemu-system-x86_64", "echo 'libfoo.so: not found' >&2; exit 127")
    found = by_name(qemu_doctor)["qemu-system-x86_64"]
    assert not found.ok
    assert "libfoo.so: not found" in found.detail
    assert found.remedy


def test_libvirt_is_ok_only_with_its_binding_and_a_daemon_that_answers() -> None:
    found = by_name(libvirt_doctor)
    assert all(one.remedy for one in found.values() if not one.ok)
    assert ("libvirt daemon" in found) == found["libvirt binding"].ok
