"""Packages for guests: resolved and fetched by apt, with lists that may not serve."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from vmsuite.errors import PlatformError
from vmsuite_plugins.guests.debian import DebianArchive, read_files
from vmsuite_plugins.guests.tiny_linux.recipe import TinyLinux

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="guests are built on Debian and Ubuntu"
)
DEPENDS = """\
agent
  PreDepends: init-helpers
  Depends: libc6
 |Depends: libfoo1
  Depends: <libvirtual>
    libreal1
  Recommends: libnot1
"""
URIS = """\
'http://deb/pool/a.deb' libc6_2.36-9%2bdeb12u14_amd64.deb 100 SHA256:abc
'http://deb/pool/b.deb' agent_1%3a7.2_amd64.deb 20 SHA256:def
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that comes first on PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def tool(folder: Path, name: str, script: str) -> Path:
    """Write a tool that notes its arguments in ``<name>.calls``."""
    calls = folder / f"{name}.calls"
    path = folder / name
    path.write_text(f"#!/bin/sh\necho \"$*\" >>'{calls}'\n{script}\n")
    path.chmod(0o755)
    return calls


def test_dependencies_are_followed_by_name(tools: Path, tmp_path: Path) -> None:
    calls = tool(tools, "apt-cache", f"case $* in *agent) cat <<'E'\n{DEPENDS}E\nesac")
    archive = DebianArchive(state=tmp_path)
    assert archive.dependencies("agent", "lib") == ["agent", "libc6", "libfoo1"]
    assert calls.read_text().splitlines()[1].endswith("depends -i libc6 libfoo1")


def test_apt_says_what_it_would_download(tools: Path, tmp_path: Path) -> None:
    tool(tools, "apt-get", f"cat <<'E'\n{URIS}E")
    found = DebianArchive(state=tmp_path).resolve(["agent", "libc6"])
    assert [(p.name, p.version, p.size) for p in found] == [
        ("agent", "1:7.2", 20),
        ("libc6", "2.36-9+deb12u14", 100),
    ]
    assert found[0].file_name == "agent_1%3a7.2_amd64.deb"


def test_the_hosts_own_package_state_is_never_written(
    tools: Path, tmp_path: Path
) -> None:
    calls = tool(tools, "apt-get", "")
    DebianArchive(state=tmp_path / "apt", private=True).update()
    (call,) = calls.read_text().splitlines()
    assert f"Dir::State={tmp_path}/apt/state" in call
    assert f"Dir::State::status={tmp_path}/apt/status" in call
    assert f"Dir::Cache={tmp_path}/apt/cache" in call


def test_what_apt_says_against_it_is_in_the_error(tools: Path, tmp_path: Path) -> None:
    tool(tools, "apt-get", "echo 'E: no room in the ark' >&2; exit 100")
    with pytest.raises(PlatformError, match="apt-get ended with 100: E: no room"):
        DebianArchive(state=tmp_path).resolve(["noah"])


def test_a_download_that_brought_nothing_is_an_error(
    tools: Path, tmp_path: Path
) -> None:
    tool(tools, "apt-get", f"case $* in *print-uris*) cat <<'E'\n{URIS}E\nesac")
    archive = DebianArchive(state=tmp_path)
    packages = archive.resolve(["agent"])
    with pytest.raises(PlatformError, match="did not download agent_1%3a7"):
        archive.download(packages, tmp_path / "packages")


def package(folder: Path, name: str, entries: dict[str, bytes | str]) -> Path:
    """Make a Debian package; text is a symbolic link's target."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as members:
        for inner, data in entries.items():
            member = tarfile.TarInfo(f"./{inner}")
            if isinstance(data, str):
                member.type, member.linkname = tarfile.SYMTYPE, data
                members.addfile(member)
            else:
                member.size = len(data)
                members.addfile(member, io.BytesIO(data))
    control = io.BytesIO()
    with tarfile.open(fileobj=control, mode="w") as members:
        text = f"Package: {name}\nVersion: 1\nArchitecture: amd64\n".encode()
        text += b"Maintainer: nobody\nDescription: a test\n"
        member = tarfile.TarInfo("./control")
        member.size = len(text)
        members.addfile(member, io.BytesIO(text))
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar": control.getvalue(),
        "data.tar": content.getvalue(),
    }
    path = folder / f"{name}_1_amd64.deb"
    archive = b"!<arch>\n"
    for part, data in parts.items():
        head = f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
        archive += head.encode() + data + b"\n" * (len(data) % 2)
    path.write_bytes(archive)
    return path


def test_wanted_files_and_links_are_read_out_of_a_package(tmp_path: Path) -> None:
    made = package(
        tmp_path,
        "tool",
        {"usr/bin/tool": b"\x7fELF", "lib/x.so": "x.so.1", "usr/share/doc": b"long"},
    )
    wanted = read_files(made, lambda path: not path.startswith("share/"))
    assert dict(wanted) == {"bin/tool": b"\x7fELF", "lib/x.so": "x.so.1"}


def test_a_damaged_package_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.deb"
    path.write_bytes(b"!<arch>\nnot really")
    with pytest.raises(PlatformError, match=r"broken\.deb"):
        list(read_files(path, lambda _: True))


# --- the recipe, with a whole small archive in place of Debian's -------------------


def module(name: str, depends: str = "") -> bytes:
    return f"\x7fELF\0alias=pci:{name}*\0depends={depends}\0".encode()


def python_packages(folder: Path, interpreter: bytes) -> list[Path]:
    """Make the packages of a Python whose interpreter compiles nothing."""
    root = "usr/lib/python3.99"
    return [
        package(folder, "python3-minimal", {"usr/bin/python3": "python3.99"}),
        package(
            folder,
            "python3.99-minimal",
            {
                "usr/bin/python3.99": interpreter,
                f"{root}/os.py": b"# os",
                f"{root}/encodings/utf_8.py": b"# utf-8",
                f"{root}/encodings/cp1250.py": b"# nobody's",
                f"{root}/email/policy.py": b"# no mail here",
            },
        ),
        package(
            folder,
            "libpython3.99-stdlib",
            {f"{root}/json/__init__.py": b"# json", f"{root}/os.py": b"# not mine"},
        ),
    ]


def archive_of_seven(folder: Path) -> list[Path]:
    """Make the packages of a guest whose programs need no library but one."""
    root = "lib/modules/9.9-test/kernel"
    shell = Path("/bin/sh").read_bytes()
    libc = Path("/lib/x86_64-linux-gnu/libc.so.6").read_bytes()
    loader = Path("/lib64/ld-linux-x86-64.so.2").read_bytes()
    return [
        package(
            folder,
            "linux-image-9.9-test",
            {
                "boot/vmlinuz-9.9-test": b"a kernel",
                f"{root}/virtio_pci.ko": module("virtio_pci", "virtio"),
                f"{root}/virtio.ko": module("virtio"),
                f"{root}/sound/beep.ko": module("beep"),
            },
        ),
        package(folder, "busybox-static", {"bin/busybox": b"\x7fELF shell"}),
        package(folder, "qemu-guest-agent", {"usr/sbin/qemu-ga": shell}),
        *python_packages(folder, shell),
        package(
            folder,
            "libc6",
            {
                "lib/x86_64-linux-gnu/libc.so.6": "libc-9.so",
                "lib/x86_64-linux-gnu/libc-9.so": libc,
                "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": loader,
            },
        ),
    ]


@pytest.fixture
def mirror(tools: Path, tmp_path: Path) -> Path:
    """Put an apt before the host's that knows seven packages; return its folder."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    made = archive_of_seven(folder)
    uris = "".join(f"'http://x' {path.name} 1 SHA256:0\n" for path in made)
    tool(
        tools,
        "apt-cache",
        "case $* in\n"
        "*' linux-image-amd64') echo '  Depends: linux-image-9.9-test' ;;\n"
        "*' qemu-guest-agent') echo '  Depends: libc6' ;;\n"
        "esac",
    )
    tool(
        tools,
        "apt-get",
        "case $* in\n"
        f"*print-uris*) cat <<'E'\n{uris}E\n;;\n"
        f"*download*) cp '{folder}'/*.deb . ;;\n"
        "esac",
    )
    return folder


def test_a_guest_is_built_once_and_found_without_any_tool(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    built = TinyLinux().build(tmp_path / "cache", said.append)
    assert built.facts == {
        "kernel": "9.9-test",
        "busybox": "1",
        "qemu-ga": "1",
        "python": "1",
    }
    assert built.kernel is not None
    assert built.kernel.read_bytes() == b"a kernel"
    assert any("7 packages" in line for line in said)

    monkeypatch.setenv("PATH", "")
    said.clear()
    assert TinyLinux().built(tmp_path / "cache") == built
    assert TinyLinux().build(tmp_path / "cache", said.append) == built
    assert said == []


def test_the_guest_holds_what_it_needs_and_no_more(
    mirror: Path, tmp_path: Path
) -> None:
    built = TinyLinux().build(tmp_path / "cache", lambda _: None)
    assert built.initrd is not None
    archive = built.initrd.read_bytes()
    for wanted in (
        *(b"init", b"sbin/qemu-ga", b"bin/busybox", b"lib/libc.so.6"),
        *(b"lib/ld-linux-x86-64.so.2", b"dev/console", b"kernel/virtio.ko"),
        *(
            b"bin/python3.99",
            b"lib/python3.99/os.py",
            b"lib/python3.99/json/__init__.py",
        ),
        *(b"lib/python3.99/encodings/utf_8.py", b"lib/vmsuite/vmsuite_agent.py"),
        b"lib/python3.99/lib-dynload",
    ):
        assert wanted + b"\0" in archive
    for left_out in (b"beep.ko", b"cp1250.py", b"policy.py", b"# not mine"):
        assert left_out not in archive
    assert b"alias pci:virtio_pci* virtio_pci" in archive


def test_a_damaged_guest_is_built_again(mirror: Path, tmp_path: Path) -> None:
    built = TinyLinux().build(tmp_path / "cache", lambda _: None)
    assert built.initrd is not None
    whole = built.initrd.read_bytes()
    built.initrd.write_bytes(whole[:-100])
    assert TinyLinux().built(tmp_path / "cache") is None
    again = TinyLinux().build(tmp_path / "cache", lambda _: None)
    assert again == built
    assert built.initrd.read_bytes() == whole


def test_stale_lists_of_the_host_are_replaced_by_lists_of_our_own(
    mirror: Path, tools: Path, tmp_path: Path
) -> None:
    (tools / "apt-cache").rename(tools / "served")
    tool(
        tools,
        "apt-cache",
        f"case $* in *Dir::State=*) exec '{tools}/served' \"$@\" ;; esac\n"
        "echo 'E: unable to locate' >&2; exit 100",
    )
    said: list[str] = []
    TinyLinux().build(tmp_path / "cache", said.append)
    assert any("the host's package lists do not serve" in line for line in said)
    assert " update " in (tools / "apt-get.calls").read_text()


def test_without_a_network_the_error_says_what_to_do(
    tools: Path, tmp_path: Path
) -> None:
    for name in ("apt-get", "apt-cache"):
        tool(tools, name, "echo 'E: could not resolve deb.debian.org' >&2; exit 100")
    with pytest.raises(PlatformError, match="could not resolve") as raised:
        TinyLinux().build(tmp_path / "cache", lambda _: None)
    assert "apt-get update" in raised.value.hint


def test_a_host_without_apt_is_told_so_before_anything_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (first, *_) = TinyLinux().missing()
    assert first.startswith("apt-get: a Debian or Ubuntu host")
    with pytest.raises(PlatformError, match="cannot build tiny-linux: apt-get: "):
        TinyLinux().build(tmp_path / "cache", lambda _: None)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(PlatformError, match="VMSUITE_CACHE"):
        TinyLinux().build(tmp_path / "cache", lambda _: None)


def test_packages_that_lack_a_library_are_an_error(
    mirror: Path, tmp_path: Path
) -> None:
    package(mirror, "libc6", {"lib/x86_64-linux-gnu/libother.so": b"x"})
    with pytest.raises(PlatformError, match=r"hold no library ld-linux|libc\.so\.6"):
        TinyLinux().build(tmp_path / "cache", lambda _: None)


def test_dpkg_itself_accepts_the_packages_of_these_tests(tmp_path: Path) -> None:
    made = package(tmp_path, "tool", {"usr/bin/tool": b"1"})
    done = subprocess.run(
        ["dpkg-deb", "-c", made], capture_output=True, text=True, check=True
    )
    assert "./usr/bin/tool" in done.stdout
