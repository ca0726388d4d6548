"""The guest web-kiosk: what is chosen for it, how its disk is made, what it lacks."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from vmsuite.errors import PlatformError
from vmsuite_plugins.guests.debian import DebianArchive, unpack
from vmsuite_plugins.guests.web_kiosk import contents, disk
from vmsuite_plugins.guests.web_kiosk.recipe import WebKiosk, recipe_digest

on_debian = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="guests are built on Debian and Ubuntu"
)


def test_each_missing_tool_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lacking = WebKiosk().missing()
    names = [line.partition(":")[0] for line in lacking]
    # Where users have no /sbin on their PATH, mke2fs is looked for there as well.
    there = any(Path(f"{folder}/mke2fs").exists() for folder in ("/sbin", "/usr/sbin"))
    assert names == ["apt-get", "dpkg-deb", "gcc", *([] if there else ["mke2fs"])]
    assert "gcc: apt-get install gcc" in lacking
    with pytest.raises(
        PlatformError, match=r"cannot build web-kiosk: apt-get: .*; gcc"
    ):
        WebKiosk().build(tmp_path / "cache", lambda _: None)


def test_nothing_is_missing_where_all_tools_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("apt-get", "dpkg-deb", "gcc", "mke2fs"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert WebKiosk().missing() == []


@pytest.mark.parametrize(
    ("package", "path", "placed"),
    [
        ("kmod", "bin/kmod", "usr/bin/kmod"),
        ("udev", "lib/systemd/systemd-udevd", "usr/lib/systemd/systemd-udevd"),
        ("udev", "usr/lib/udev/rules.d/50-x.rules", "usr/lib/udev/rules.d/50-x.rules"),
        ("libc6", "lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"),
        ("xkb-data", "usr/share/X11/xkb/rules/evdev", "usr/share/X11/xkb/rules/evdev"),
        (
            "libx11-data",
            "usr/share/X11/locale/C/Compose",
            "usr/share/X11/locale/C/Compose",
        ),
        ("fontconfig-config", "etc/fonts/fonts.conf", "etc/fonts/fonts.conf"),
        (
            "libpython3.11-minimal",
            "usr/lib/python3.11/os.py",
            "usr/lib/python3.11/os.py",
        ),
    ],
)
def test_what_the_guest_needs_has_a_place(package: str, path: str, placed: str) -> None:
    assert contents.place(package, path) == placed


@pytest.mark.parametrize(
    ("package", "path"),
    [
        ("cog", "usr/share/doc/cog/copyright"),
        ("libc6", "usr/share/locale/de/LC_MESSAGES/libc.mo"),
        ("libc6", "etc/ld.so.conf.d/x.conf"),
        ("linux-image-9", "boot/vmlinuz-9"),
        ("linux-image-9", "lib/modules/9/kernel/fs/xfs/xfs.ko"),
        ("udev", "lib/udev/hwdb.d/20-OUI.hwdb"),
        ("systemd", "lib/systemd/systemd-networkd"),
        (
            "glib-networking",
            "usr/lib/x86_64-linux-gnu/gio/modules/libgiognomeproxy.so",
        ),
        ("libpython3.11-minimal", "usr/lib/python3.11/email/policy.py"),
        ("libpython3.11-stdlib", "usr/lib/python3.11/os.py"),
    ],
)
def test_what_nobody_misses_is_left_out(package: str, path: str) -> None:
    assert contents.place(package, path) is None


@on_debian
def test_packages_are_what_apt_would_install_without_what_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("cog", "libwpewebkit-1.1-0", "perl", "perl-base", "systemd", "libsystemd0")
    said = "".join(f"'http://x' {name}_1_amd64.deb 1 SHA256:0\n" for name in names)
    calls = tmp_path / "calls"
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\necho \"$*\" >>'{calls}'\ncat <<'E'\n{said}E\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = contents.choose(DebianArchive(state=tmp_path / "apt"))
    assert [item.name for item in found] == ["cog", "libsystemd0", "libwpewebkit-1.1-0"]
    (call,) = calls.read_text().splitlines()
    # What this host has installed says nothing about what the guest needs.
    assert f"Dir::State::status={tmp_path}/apt/nothing-installed" in call
    assert "--no-install-recommends --print-uris linux-image-amd64 cog" in call


def test_the_digest_of_a_recipe_is_the_same_in_every_process() -> None:
    program = (
        "from vmsuite_plugins.guests.web_kiosk.recipe import recipe_digest\n"
        "print(recipe_digest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {recipe_digest()}


def test_every_script_of_the_guest_is_one() -> None:
    scripts = {"init of the initramfs": contents.boot_script()} | {
        path: data
        for path, data in contents.own_files().items()
        if path.startswith("usr/sbin/")
    }
    assert {"usr/sbin/init", "usr/sbin/browser", "usr/sbin/shutdown"} <= set(scripts)
    for path, data in scripts.items():
        assert data.startswith(b"#!/bin/"), path
        done = subprocess.run(
            ["/bin/sh", "-n"], input=data, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b""), path


# --- trees and disks -----------------------------------------------------------------


def member(name: str, data: bytes = b"", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(f"./{name}")
    info.size, info.mode = len(data), mode
    return info


def linked(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(f"./{name}")
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Make a package of each kind of file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as members:
        members.addfile(member("bin/su", b"root", 0o4755), io.BytesIO(b"root"))
        members.addfile(member("usr/lib/data", b"data"), io.BytesIO(b"data"))
        members.addfile(linked("bin/sudo", "su", tarfile.SYMTYPE))
        members.addfile(linked("usr/lib/same", "./usr/lib/data", tarfile.LNKTYPE))
        members.addfile(member("usr/share/doc/su", b"long"), io.BytesIO(b"long"))
    archive = b"!<arch>\n"
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar": b"",
        "data.tar": content.getvalue(),
    }
    for part, data in parts.items():
        head = f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
        archive += head.encode() + data + b"\n" * (len(data) % 2)
    path = tmp_path / "su_1_amd64.deb"
    path.write_bytes(archive)
    return path


@on_debian
def test_a_package_is_unpacked_where_its_files_are_placed(
    package: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    unpack(package, root, lambda path: contents.place("su", path))
    assert (root / "usr/bin/su").read_bytes() == b"root"
    assert stat.S_IMODE((root / "usr/bin/su").stat().st_mode) == 0o755
    assert (root / "usr/bin/sudo").readlink() == Path("su")
    assert (root / "usr/lib/same").samefile(root / "usr/lib/data")
    assert not (root / "usr/share").exists()


@pytest.mark.skipif(
    shutil.which("mke2fs") is None or shutil.which("debugfs") is None,
    reason="needs Debian's package e2fsprogs",
)
def test_a_disk_holds_the_folder_whatever_its_size(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "usr/lib/large").write_bytes(bytes(9_000_000))
    (root / "usr/lib/again").hardlink_to(root / "usr/lib/large")
    (root / "usr/bin").symlink_to("lib")
    for number in range(2000):
        (root / f"usr/lib/{number}").write_text(str(number))
    target = tmp_path / "disk"
    disk.write(root, target)
    assert target.stat().st_size < 40_000_000
    assert target.stat().st_size % 512 == 0

    def seen(request: str) -> str:
        command = ["debugfs", "-R", request, str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout

    assert seen("cat /usr/lib/1999") == "1999"
    assert "Size: 9000000" in seen("stat /usr/lib/again")
    assert 'Fast link dest: "lib"' in seen("stat /usr/bin")
    assert "Filesystem volume name:   web-kiosk" in seen("stats")


def test_a_disk_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="no-mke2fs is not installed"):
        disk.write(tmp_path, tmp_path / "none" / "disk", "no-mke2fs")
