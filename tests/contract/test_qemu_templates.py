"""Templates on disk: named by all that shaped them, whole or not there."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import PlatformError
from vmsuite_plugins.drivers.qemu.agent_door import AgentDoor
from vmsuite_plugins.drivers.qemu.command_line import Blueprint, Ram
from vmsuite_plugins.drivers.qemu.overlays import backing_file, inspect, write_overlay
from vmsuite_plugins.drivers.qemu.resolve import Plan
from vmsuite_plugins.drivers.qemu.settings import QemuSettings
from vmsuite_plugins.drivers.qemu.warm import sealed
from vmsuite_plugins.drivers.qemu.warm.arguments import writable_drive
from vmsuite_plugins.drivers.qemu.warm.key import template_key
from vmsuite_plugins.drivers.qemu.warm.store import TemplateStore
from vmsuite_plugins.drivers.qemu.warm.template import Saved, Template
from vmsuite_plugins.protocols.agent_server.tokens import new_token

RAM = 1 << 20


def plan_of(folder: Path, **fields: Any) -> Plan:
    for name in ("qemu", "kernel", "initrd"):
        if not (folder / name).exists():
            (folder / name).write_bytes(name.encode())
    blueprint = Blueprint(
        **{
            "name": "vm",
            "binary": folder / "qemu",
            "machine": "q35",
            "accel": "tcg",
            "memory": RAM,
            "kernel": folder / "kernel",
            "initrd": folder / "initrd",
            **fields,
        }
    )
    return Plan(  # noqa: S604 - a word of ours, no shell
        settings=QemuSettings(kernel=folder / "kernel"),
        blueprint=blueprint,
        ready="agent",
        shell="agent",
        boot_timeout=60.0,
        crash_patterns=(),
        linux=True,
        facts={},
    )


def template(digest: str = "d" * 24, *, disks: int = 0) -> Template:
    """Return a template whose files hold something, with holes between."""
    ram, state = sealed.create("ram", RAM), sealed.create("state")
    os.pwrite(ram, b"memory", 512 << 10)
    os.pwrite(state, b"devices", 0)
    sealed.seal(ram)
    sealed.seal(state)
    images = []
    for number in range(disks):
        images.append(sealed.create(f"disk{number}"))
        os.pwrite(images[-1], f"disk {number}".encode(), 0)
    saved = Saved(about="a test", agent=True, native=False, fork_memory=7)
    return Template(
        digest=digest, saved=saved, ram=ram, state=state, disks=tuple(images)
    )


# --- names ------------------------------------------------------------------------


def door_of(*kinds: str, **fields: Any) -> AgentDoor:
    """Return a door with a token of its own."""
    door = AgentDoor(folder=Path("/x"), kinds=frozenset(kinds), token=new_token())
    return replace(door, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"disks": (Path("/dev/null"),)},
        {"firmware_code": Path("/dev/null"), "firmware_store": Path("/dev/null")},
        {"memory": 2 * RAM},
        {"append": "debug"},
        {"keyboard": "usb"},
        {"machine": "pc"},
        {"cpus": 2},
        {"accel": "kvm"},
        {"qemu_args": ("-device", "x")},
        {"channels": {"a": Path("/x")}},
        {"forwards": (7,)},
        {"door": door_of("web")},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_another_machine_has_another_template(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    plain = template_key(plan_of(tmp_path), "")
    assert template_key(plan_of(tmp_path, **fields), "") != plain


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "other"},
        {"backing": (5,)},
        {"firmware_variables": 9},
        {"ram": Ram(4, shared=True)},
        {"incoming": 7},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_a_guest_cannot_know_makes_no_difference(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    plain = template_key(plan_of(tmp_path), "")
    assert template_key(plan_of(tmp_path, **fields), "") == plain


@pytest.mark.parametrize(
    "fields",
    [{}, {"folder": Path("/y")}, {"inherited": new_token()}, {"python": "/z"}],
    ids=lambda fields: next(iter(fields), "none"),
)
def test_a_machines_token_and_sockets_make_no_difference(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    plain = template_key(plan_of(tmp_path, door=door_of("web")), "")
    other = door_of("web", **fields)
    assert template_key(plan_of(tmp_path, door=other), "") == plain
    more = door_of("web", "tcp", **fields)
    assert template_key(plan_of(tmp_path, door=more), "") != plain


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"!")


def replace_file(path: Path) -> None:
    """As an upgrade does: another file of the same size and time."""
    before = path.stat()
    fresh = path.with_suffix(".new")
    fresh.write_bytes(path.read_bytes())
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    fresh.rename(path)


@pytest.mark.parametrize("name", ["qemu", "kernel", "initrd", "disk", "base"])
@pytest.mark.parametrize("change", [touch, rewrite, replace_file])
def test_a_changed_file_is_another_template(
    tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    """QEMU upgraded under a template above all; a disk's own backing file, too."""
    (tmp_path / "base").write_bytes(bytes(RAM))
    with (tmp_path / "disk").open("w+b") as file:
        write_overlay(file, inspect(tmp_path / "base"))
    plan = plan_of(tmp_path, disks=(tmp_path / "disk",))
    before = template_key(plan, "")
    assert template_key(plan, "") == before
    change(tmp_path / name)
    assert template_key(plan, "") != before


def test_a_file_named_in_arguments_of_qemu_counts(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("one")
    arguments = ("-fw_cfg", f"name=opt/x,file={tmp_path}/blob")
    plan = plan_of(tmp_path, qemu_args=arguments)
    before = template_key(plan, "")
    (tmp_path / "blob").write_text("another")
    assert template_key(plan, "") != before


@pytest.mark.parametrize(
    ("arguments", "forks"),
    [
        (("-drive", "file=x.img,if=virtio"), False),
        (("-hda", "x.img"), False),
        (("-blockdev", '{"driver": "file", "filename": "x"}'), False),
        (("-drive", "file=x.img,readonly=on"), True),
        (("-drive", "file=x.img,snapshot=on"), False),
        (("-blockdev", '{"read-only": true, "driver": "file"}'), True),
        (("-device", "virtio-rng-pci"), True),
        ((), True),
    ],
)
def test_a_machine_that_writes_a_drive_of_its_own_is_not_forked(
    arguments: tuple[str, ...], forks: bool
) -> None:
    assert (writable_drive(arguments) == "") is forks


def test_the_preparation_and_the_sign_of_readiness_count(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    keys = {
        template_key(plan, ""),
        template_key(plan, "prepared"),
        template_key(replace(plan, ready="console:up"), ""),
    }
    assert len(keys) == 3


def test_a_backing_file_is_read_from_the_header_only(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(512))
    (tmp_path / "junk").write_bytes(b"QFI\xfb" + bytes(8) + b"\xff" * 8)
    assert backing_file(tmp_path / "raw") is None
    assert backing_file(tmp_path / "junk") is None
    assert backing_file(tmp_path / "missing") is None


# --- keeping ------------------------------------------------------------------------


def test_what_is_kept_is_found_again_and_cannot_be_changed(tmp_path: Path) -> None:
    store = TemplateStore(tmp_path)
    kept = store.keep(template(disks=2))
    kept.close()
    found = store.load("d" * 24)
    assert found is not None
    assert os.pread(found.ram, 6, 512 << 10) == b"memory"
    assert os.fstat(found.ram).st_size == RAM
    assert os.read(found.open_state(), 7) == b"devices"
    assert [os.pread(disk, 6, 0) for disk in found.disks] == [b"disk 0", b"disk 1"]
    assert found.saved.fork_memory == 7
    for descriptor in (found.ram, found.state):
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"x", 0)
    found.close()


def test_memory_on_disk_takes_no_more_room_than_it_has_content(tmp_path: Path) -> None:
    TemplateStore(tmp_path).keep(template()).close()
    (info,) = TemplateStore(tmp_path).all()
    assert info.size < RAM // 2


@pytest.mark.parametrize("name", ["ram", "state", "disk0.qcow2"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_what_is_damaged_is_removed_and_not_found(
    tmp_path: Path, name: str, harm: str
) -> None:
    store = TemplateStore(tmp_path)
    store.keep(template(disks=1)).close()
    (info,) = store.all()
    path = info.folder / name
    if harm == "flip":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    elif harm == "cut":
        os.truncate(path, path.stat().st_size - 1)
    else:
        path.unlink()
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert store.load("d" * 24) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(store.all()) == []
    assert not info.folder.exists()


@pytest.mark.parametrize(
    "manifest", ["", "[]", "{}", '{"saved": 1, "files": {}}', "\0", '{"files": null}']
)
def test_a_manifest_that_is_none_is_removed_and_not_found(
    tmp_path: Path, manifest: str
) -> None:
    store = TemplateStore(tmp_path)
    store.keep(template()).close()
    (info,) = store.all()
    (info.folder / "manifest.json").write_text(manifest)
    (shown,) = store.all()
    assert shown.trouble
    assert store.load("d" * 24) is None
    assert not info.folder.exists()


def test_a_file_that_leads_elsewhere_is_not_taken(tmp_path: Path) -> None:
    """A manifest names files only; a path in it leads nowhere."""
    store = TemplateStore(tmp_path)
    store.keep(template()).close()
    (info,) = store.all()
    manifest = json.loads((info.folder / "manifest.json").read_text())
    manifest["files"]["../../secret"] = 1
    (info.folder / "manifest.json").write_text(json.dumps(manifest))
    assert store.load("d" * 24) is None


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """Let no file become longer: what a full disk looks like to a writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_nothing_stays_where_there_is_no_room(tmp_path: Path) -> None:
    store, made = TemplateStore(tmp_path), template()
    with small_files(RAM // 2), pytest.raises(OSError) as caught:
        store.keep(made)
    assert caught.value.errno in {errno.EFBIG, errno.ENOSPC}
    assert list(store.all()) == []
    assert [path.name for path in store.folder.iterdir()] == [".lock"]
    store.keep(made).close()
    assert len(store.all()) == 1


def test_looking_at_templates_harms_none_that_is_being_loaded(tmp_path: Path) -> None:
    """Who looks holds a lock for a moment; who loads waits that long."""
    store = TemplateStore(tmp_path)
    store.keep(template()).close()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            TemplateStore(tmp_path).all()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(300):
            found = store.load("d" * 24)
            assert found is not None
            found.close()
    finally:
        over.set()
        looking.join()


def test_trouble_of_the_moment_costs_no_template(tmp_path: Path) -> None:
    """Too many open files: it is not found now, and is found later."""
    store = TemplateStore(tmp_path)
    store.keep(template()).close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        damaged: list[str] = []
        assert store.load("d" * 24, damaged) is None
        assert damaged == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    found = store.load("d" * 24)
    assert found is not None
    found.close()


def test_one_in_use_is_busy_and_is_not_removed(tmp_path: Path) -> None:
    store = TemplateStore(tmp_path)
    kept = store.keep(template())
    assert [info.busy for info in store.all()] == [True]
    with pytest.raises(PlatformError, match="uses it"):
        store.remove("d" * 24)
    kept.close()
    assert [info.busy for info in store.all()] == [False]
    store.remove("d" * 24)
    assert list(store.all()) == []
    with pytest.raises(KeyError):
        store.remove("d" * 24)
    with pytest.raises(KeyError):
        store.remove("../qemu")


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    """Never one that a run uses, and never the new one."""
    store = TemplateStore(tmp_path)
    used = [store.keep(template(name * 24)) for name in "abc"]
    for age, one in enumerate(used):
        os.utime(store.folder / one.digest / "used", (age, age))
    size = store.all()[0].size
    used[1].close()
    used[2].close()
    TemplateStore(tmp_path, room=2 * size).keep(template("d" * 24)).close()
    assert [info.digest[0] for info in store.all()] == ["d", "a"]
    used[0].close()
    TemplateStore(tmp_path, room=1).keep(template("e" * 24)).close()
    assert [info.digest[0] for info in store.all()] == ["e"]


DIES = """
import os, sys
from pathlib import Path
from vmsuite_plugins.drivers.qemu.warm.store import TemplateStore
store = TemplateStore(Path(sys.argv[1]))
store.folder.mkdir(parents=True)
with store.making() as folder:
    (folder / "ram").write_bytes(b"half of it")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_dead_maker_left_is_swept_and_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    store = TemplateStore(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", DIES, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as maker:
        assert maker.stdout is not None
        folder = Path(maker.stdout.readline().strip())
        assert list(store.sweep()) == []
        assert folder.exists()
        maker.kill()
    assert list(store.sweep()) == [str(folder)]
    assert not folder.exists()


def test_a_machine_that_could_not_be_forked_is_remembered(tmp_path: Path) -> None:
    store = TemplateStore(tmp_path)
    assert store.refusal("a") == ""
    store.note_refusal("a", "no")
    assert store.refusal("a") == "no"
    assert store.refusal("b") == ""
    long_ago = (store.folder / "a.refusal").stat().st_mtime - 90_000
    os.utime(store.folder / "a.refusal", (long_ago, long_ago))
    assert store.refusal("a") == ""
    (tmp_path / "file").touch()
    TemplateStore(tmp_path / "file").note_refusal("a", "no")


def test_who_waits_for_a_lock_can_be_called_off(tmp_path: Path) -> None:
    store = TemplateStore(tmp_path)

    async def second() -> None:
        async with store.locked("a"):
            raise AssertionError("two had the lock")

    async def story() -> None:
        async with store.locked("a"):
            task = asyncio.create_task(second())
            async with store.locked("b"):
                pass  # another template's
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
        async with store.locked("a"):
            pass

    asyncio.run(story())
