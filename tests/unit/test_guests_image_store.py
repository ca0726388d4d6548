"""Guest images on disk: whole or not there, built once, damage seen."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from vmsuite_plugins.guests.image_store import ImageStore, StoredImage, digest_of


def nothing() -> None:
    """Be what a test calls that expects no waiting."""


def writer(content: bytes = b"kernel") -> Callable[[Path], Mapping[str, str]]:
    def write(folder: Path) -> Mapping[str, str]:
        (folder / "kernel").write_bytes(content)
        return {"kernel": "9.9"}

    return write


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(folder=tmp_path / "guests/rocket")


def add(store: ImageStore, recipe: str = "r1", digest: str = "d1") -> StoredImage:
    with store.locked(nothing):
        return store.add(recipe, digest, writer())


def test_what_was_added_is_found_with_its_facts(store: ImageStore) -> None:
    added = add(store)
    assert added == store.find("r1")
    assert added.folder == store.folder / "d1"
    assert added.facts == {"kernel": "9.9"}
    assert (added.folder / "kernel").read_bytes() == b"kernel"


def test_nothing_is_found_where_nothing_was_built(store: ImageStore) -> None:
    assert store.find("r1") is None


def test_an_image_of_another_recipe_is_not_found(store: ImageStore) -> None:
    add(store, recipe="r1")
    assert store.find("r2") is None


def test_of_two_images_the_newer_one_is_found(store: ImageStore) -> None:
    older = add(store, digest="z-old").folder / "manifest.json"
    os.utime(older, (1, 1))
    add(store, digest="a-new")
    found = store.find("r1")
    assert found is not None
    assert found.digest == "a-new"


def halve(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("kernel", halve),
        ("kernel", flip),
        ("kernel", Path.unlink),
        ("manifest.json", halve),
        ("manifest.json", Path.unlink),
    ],
)
def test_a_damaged_image_is_not_found_and_can_be_built_again(
    store: ImageStore, name: str, damage: Callable[[Path], None]
) -> None:
    damage(add(store).folder / name)
    assert store.find("r1") is None
    add(store)
    assert store.find("r1") is not None
    assert sorted(path.name for path in store.folder.iterdir()) == [".lock", "d1"]


def test_a_file_that_was_only_touched_is_still_good(store: ImageStore) -> None:
    os.utime(add(store).folder / "kernel", (1, 1))
    assert store.find("r1") is not None


@pytest.mark.parametrize("manifest", ["[]", "{}", '{"recipe": "r1", "files": 3}'])
def test_a_manifest_of_another_shape_is_no_image(
    store: ImageStore, manifest: str
) -> None:
    (add(store).folder / "manifest.json").write_text(manifest)
    assert store.find("r1") is None


def test_a_builder_that_fails_leaves_nothing_behind(store: ImageStore) -> None:
    def fail(folder: Path) -> Mapping[str, str]:
        (folder / "half").write_bytes(b"x" * 100)
        raise OSError("no space left on device")

    with store.locked(nothing), pytest.raises(OSError, match="no space left"):
        store.add("r1", "d1", fail)
    assert [path.name for path in store.folder.iterdir()] == [".lock"]


def _build_until_killed(folder: Path, started: Event) -> None:
    store = ImageStore(folder=folder)

    def write(target: Path) -> Mapping[str, str]:
        (target / "half").write_bytes(b"x")
        started.set()
        signal.pause()
        return {}

    with store.locked(nothing):
        store.add("r1", "d1", write)


def test_a_builder_that_is_killed_is_swept_by_the_next(store: ImageStore) -> None:
    processes = multiprocessing.get_context("spawn")
    started = processes.Event()
    process = processes.Process(
        target=_build_until_killed, args=(store.folder, started)
    )
    process.start()
    assert started.wait(20)
    process.kill()
    process.join()
    assert list(store.folder.glob(".building-*"))
    assert store.find("r1") is None
    add(store)
    assert not list(store.folder.glob(".building-*"))


def test_of_two_builders_one_builds_and_the_other_waits(store: ImageStore) -> None:
    waits = threading.Event()
    built: list[str] = []

    def build(name: str, before: Callable[[], None]) -> None:
        with store.locked(waits.set):
            if store.find("r1") is None:
                before()
                built.append(name)
                store.add("r1", "d1", writer())

    holds = threading.Event()

    def wait_for_the_other() -> None:
        holds.set()
        assert waits.wait(20)

    first = threading.Thread(target=build, args=("first", wait_for_the_other))
    first.start()
    assert holds.wait(20)
    second = threading.Thread(target=build, args=("second", nothing))
    second.start()
    first.join(20)
    second.join(20)
    assert built == ["first"]


def test_a_digest_depends_on_names_and_values_but_not_on_their_order() -> None:
    one = digest_of({"a": "1", "b": b"2"})
    assert one == digest_of({"b": b"2", "a": "1"})
    assert one != digest_of({"a": "12", "b": b""})
    assert one != digest_of({"ab": "1", "": b"2"})


def test_a_manifest_names_every_file(store: ImageStore) -> None:
    manifest = json.loads((add(store).folder / "manifest.json").read_text())
    assert manifest["recipe"] == "r1"
    assert manifest["files"]["kernel"]["size"] == len(b"kernel")
