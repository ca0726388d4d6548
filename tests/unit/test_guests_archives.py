"""Initramfs archives, ELF files and kernel modules: read and written in memory."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite.errors import PlatformError
from vmsuite_plugins.guests import cpio, elf, kernel
from vmsuite_plugins.guests.compression import unpack_files


def records(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Read an archive as the kernel does: mode and content by path."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        assert at % 4 == 0
        fields = [
            int(archive[at + 6 + 8 * number : at + 14 + 8 * number], 16)
            for number in range(13)
        ]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        at += 110 + name_size
        at += -at % 4
        if name == "TRAILER!!!":
            assert at == len(archive)
            return found
        found[name] = (mode, archive[at : at + size])
        at += size
        at += -at % 4


def test_an_archive_holds_files_links_folders_and_devices() -> None:
    made = records(
        cpio.archive(
            [
                cpio.file("etc/motd", b"hi", 0o600),
                cpio.link("bin/sh", "busybox"),
                cpio.folder("tmp", 0o1777),
                cpio.character_device("dev/console", 5, 1),
            ]
        )
    )
    assert made["etc/motd"] == (stat.S_IFREG | 0o600, b"hi")
    assert made["bin/sh"] == (stat.S_IFLNK | 0o777, b"busybox")
    assert made["tmp"][0] == stat.S_IFDIR | 0o1777
    assert stat.S_ISCHR(made["dev/console"][0])


def test_parents_are_made_and_come_before_what_is_in_them() -> None:
    made = list(records(cpio.archive([cpio.file("a/b/c", b"")])))
    assert made == ["a", "a/b", "a/b/c"]


def test_the_same_entries_make_the_same_bytes_in_any_order() -> None:
    entries = [cpio.file("b", b"2"), cpio.link("a", "b"), cpio.folder("c/d")]
    assert cpio.archive(entries) == cpio.archive(entries[::-1])


@given(st.dictionaries(st.text("abc", min_size=1, max_size=5), st.binary(max_size=9)))
def test_whatever_is_written_is_read_again(contents: dict[str, bytes]) -> None:
    made = records(cpio.archive(cpio.file(p, data) for p, data in contents.items()))
    assert {path: data for path, (_, data) in made.items()} == contents


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_the_cpio_tool_reads_an_archive_without_complaint() -> None:
    archive = cpio.archive([cpio.file("x/odd", b"123"), cpio.link("y", "x/odd")])
    done = subprocess.run(
        ["cpio", "-tv"], input=archive, capture_output=True, check=True
    )
    assert b" x/odd\n" in done.stdout
    assert b" y -> x/odd\n" in done.stdout


def test_a_program_names_its_loader_and_libraries() -> None:
    shell = Path("/bin/sh").read_bytes()
    found = elf.needed(shell)
    assert found[0].startswith("/lib64/ld-linux")
    assert "libc.so.6" in found


def test_a_file_that_is_no_elf_is_refused() -> None:
    with pytest.raises(ValueError, match="not a 64-bit"):
        elf.needed(b"#!/bin/sh\n" * 10)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_a_damaged_program_is_read_or_refused_but_never_breaks(
    place: int, damage: bytes
) -> None:
    image = bytearray(Path(sys.executable).resolve().read_bytes()[:4096])
    image[place : place + len(damage)] = damage
    # Anything else than ValueError ends this test.
    with suppress(ValueError):
        elf.needed(bytes(image))
    with suppress(ValueError):
        elf.has_note(bytes(image), b"Xen\0", 18)


def module(name: str, depends: str = "", aliases: tuple[str, ...] = ()) -> bytes:
    strings = [f"alias={alias}" for alias in aliases]
    strings += [f"depends={depends}", "parm=depends on taste", f"name={name}"]
    return b"\x7fELF\0" + b"\0".join(text.encode() for text in strings) + b"\0\0"


def known(*described: tuple[str, str, tuple[str, ...]]) -> dict[str, kernel.Module]:
    read = [
        kernel.read_module(f"kernel/{name}.ko", module(name, depends, aliases))
        for name, depends, aliases in described
    ]
    return {found.name: found for found in read}


def test_a_module_tells_what_it_depends_on_and_which_devices_it_serves() -> None:
    found = kernel.read_module(
        "kernel/drivers/xhci-pci.ko",
        module("xhci_pci", "xhci-hcd,usbcore", ("pci:v1*", "pci:v2*", "pci:v3*")),
    )
    assert found.name == "xhci_pci"
    assert found.depends == ("xhci_hcd", "usbcore")
    assert found.aliases == ("pci:v1*", "pci:v2*", "pci:v3*")


def test_a_closure_brings_dependencies_first_and_once() -> None:
    modules = known(("c", "b,a", ()), ("b", "a", ()), ("a", "", ()), ("z", "", ()))
    chosen = kernel.closure(["c", "b", "built-in"], modules)
    assert [found.name for found in chosen] == ["a", "b", "c"]


def test_a_dependency_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="net depends on failover"):
        kernel.closure(["net"], known(("net", "failover", ())))


def test_modprobe_gets_its_tables() -> None:
    modules = known(("c", "b", ("pci:x*",)), ("b", "a", ()), ("a", "", ()))
    chosen = kernel.closure(["c"], modules)
    assert kernel.alias_table(chosen) == "alias pci:x* c\n"
    assert kernel.dependency_table(chosen).splitlines() == [
        "kernel/a.ko:",
        "kernel/b.ko: kernel/a.ko",
        "kernel/c.ko: kernel/b.ko kernel/a.ko",
    ]


def elf_with_note(name: bytes, kind: int) -> bytes:
    note = struct.pack("<III", len(name), 4, kind) + name + b"\1\0\0\0"
    header = b"\x7fELF\x02\x01".ljust(32, b"\0") + struct.pack("<Q", 64)
    header += bytes(14) + struct.pack("<HH", 56, 1) + bytes(6)
    segment = struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(note), len(note), 4)
    return header + segment + note


def packed_kernel(payload: bytes) -> bytes:
    image = bytearray(2048)
    image[0x1F1] = 3  # setup sectors
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, 0, len(payload) + 4)
    return bytes(image) + payload + struct.pack("<I", 99)


def test_a_kernel_packed_by_xz_is_unpacked() -> None:
    inner = elf_with_note(b"Xen\0", 18)
    assert kernel.uncompressed(packed_kernel(lzma.compress(inner))) == inner


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_a_kernel_packed_by_zstd_is_unpacked() -> None:
    inner = elf_with_note(b"Xen\0", 18)
    payload = subprocess.run(
        ["zstd", "-c"], input=inner, capture_output=True, check=True
    )
    assert kernel.uncompressed(packed_kernel(payload.stdout)) == inner


@pytest.mark.parametrize(
    "image",
    [
        packed_kernel(lzma.compress(elf_with_note(b"Xen\0", 17))),
        packed_kernel(lzma.compress(b"no kernel at all")),
        packed_kernel(gzip.compress(elf_with_note(b"Xen\0", 18))),
        b"MZ" + bytes(4096),
    ],
    ids=["without the entry QEMU needs", "not ELF", "other packing", "not Linux"],
)
def test_a_kernel_that_cannot_start_unpacked_stays_packed(image: bytes) -> None:
    assert kernel.uncompressed(image) is None


def test_modules_are_unpacked_by_what_their_names_say() -> None:
    files = {
        "a.ko": b"plain",
        "b.ko.xz": lzma.compress(b"xz"),
        "c.ko.gz": gzip.compress(b"gz"),
    }
    unpacked = unpack_files(files)
    assert unpacked == {"a.ko": b"plain", "b.ko": b"xz", "c.ko": b"gz"}


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_many_modules_packed_by_zstd_are_unpacked_at_once() -> None:
    packed = subprocess.run(
        ["zstd", "-c"], input=b"payload", capture_output=True, check=True
    ).stdout
    files = {f"{number}.ko.zst": packed for number in range(50)}
    unpacked = unpack_files(files)
    assert unpacked == {f"{number}.ko": b"payload" for number in range(50)}


def test_without_zstd_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlatformError, match="apt-get install zstd"):
        unpack_files({"a.ko.zst": b""})


def test_a_damaged_module_is_named() -> None:
    with pytest.raises(PlatformError, match=r"^b\.ko\.xz: cannot be unpacked"):
        unpack_files({"b.ko.xz": b"damage"})
