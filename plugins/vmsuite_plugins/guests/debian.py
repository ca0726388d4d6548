"""Fetches Debian packages and reads files out of them, all without root."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite_plugins.guests.tools import run_tool

ARCHITECTURE = "amd64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package as apt would download it."""

    name: str
    version: str
    file_name: str
    size: int
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianArchive:
    """The package lists of this host, or private ones in ``state``."""

    state: Path
    """A folder for private package lists, made when they are wanted."""
    private: bool = False
    """Whether to use private lists, since the host's are missing or stale."""

    def update(self) -> None:
        """Fetch private package lists. Raises PlatformError with apt's words."""
        (self.state / "state/lists/partial").mkdir(parents=True, exist_ok=True)
        (self.state / "status").touch()
        self._run("apt-get", "update", "-q", "--error-on=any")

    def dependencies(self, package: str, follow: str) -> list[str]:
        """Return a package and what it depends on, as far as names match ``follow``.

        Raises PlatformError if the lists do not have the package.
        """
        found, waiting = [package], [package]
        while waiting:
            text = self._run("apt-cache", "depends", "-i", *waiting)
            names = re.findall(r"^ [ |](?:Pre)?Depends: ([^<\s]+)$", text, re.MULTILINE)
            waiting = []
            for name in names:
                if name not in found and re.match(follow, name):
                    found.append(name)
                    waiting.append(name)
        return found

    def resolve(self, names: Iterable[str]) -> list[Package]:
        """Return what apt would download for these names, sorted by name."""
        empty = self.state / "empty"  # apt says nothing about files that are there
        empty.mkdir(parents=True, exist_ok=True)
        text = self._run("apt-get", "download", "--print-uris", *names, cwd=empty)
        packages = [_package(match) for match in _URI.finditer(text)]
        if not packages:
            raise PlatformError(f"apt knows no way to download {', '.join(names)}")
        return sorted(packages, key=lambda package: package.name)

    def installation(self, names: Iterable[str]) -> list[Package]:
        """Return all that apt would install with these into an empty system.

        Raises PlatformError if the lists do not have one, or they do not fit together.
        """
        nothing = self.state / "nothing-installed"
        nothing.parent.mkdir(parents=True, exist_ok=True)
        nothing.touch()
        text = self._run(
            "apt-get",
            *("-o", f"Dir::State::status={nothing}"),
            *("install", "--yes", "--no-install-recommends", "--print-uris", *names),
        )
        packages = [_package(match) for match in _URI.finditer(text)]
        return sorted(packages, key=lambda package: package.name)

    def download(self, packages: Sequence[Package], folder: Path) -> list[Path]:
        """Download packages (checked by apt) unless they are there; return files."""
        folder.mkdir(parents=True, exist_ok=True)
        versions = [f"{package.name}={package.version}" for package in packages]
        self._run("apt-get", "download", "-q", *versions, cwd=folder)
        files = [folder / package.file_name for package in packages]
        missing = [path.name for path in files if not path.is_file()]
        if missing:
            raise PlatformError(f"apt did not download {', '.join(missing)}")
        return files

    def _run(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        return run_tool([tool, *self._options(), *arguments], cwd=cwd)

    def _options(self) -> Iterator[str]:
        chosen = {
            "APT::Architecture": ARCHITECTURE,
            "APT::Sandbox::User": "root",  # our folders are closed to user _apt
            "Acquire::Retries": "3",
            "Acquire::http::Timeout": "30",
            "Dir::Cache": str(self.state / "cache"),
        }
        if self.private:
            chosen["APT::Architectures"] = ARCHITECTURE
            chosen["Dir::State"] = str(self.state / "state")
            chosen["Dir::State::status"] = str(self.state / "status")
        for name, value in chosen.items():
            yield from ("-o", f"{name}={value}")


_URI = re.compile(r"^'\S+' (\S+?)_(\S+?)_(\S+?\.deb) (\d+) (\S*)$", re.MULTILINE)


def _package(match: re.Match[str]) -> Package:
    name, version, rest, size, checksum = match.groups()
    return Package(
        name=name,
        version=urllib.parse.unquote(version),
        file_name=f"{name}_{version}_{rest}",
        size=int(size),
        checksum=checksum,
    )


def read_files(
    package: Path, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes | str]]:
    """Yield path and content of a package's wanted files, text for a link's target.

    Paths have no leading slash and no leading ``usr/``, where Debian merges the two.
    Raises PlatformError if the package cannot be read.
    """
    with _content(package) as members:
        for member in members:
            path = member.name.removeprefix("./").removeprefix("usr/")
            if not wanted(path):
                continue
            if member.issym():
                yield path, member.linkname
            elif (content := members.extractfile(member)) is not None:
                yield path, content.read()


def unpack(package: Path, root: Path, place: Callable[[str], str | None]) -> None:
    """Write a package's files, links and folders below ``root``, which is not root's.

    ``place`` returns where a path goes, or None for what is left out. Nothing becomes
    set-user-id. Raises PlatformError if the package cannot be read.
    """
    with _content(package) as members:
        for member in members:
            target = place(member.name.removeprefix("./").strip("/"))
            if target:
                _write_member(members, member, root, place, root / target)


def _write_member(
    members: tarfile.TarFile,
    member: tarfile.TarInfo,
    root: Path,
    place: Callable[[str], str | None],
    target: Path,
) -> None:
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        source = place(member.linkname.removeprefix("./"))
        if source:
            target.hardlink_to(root / source)
    elif (content := members.extractfile(member)) is not None:
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)


@contextmanager
def _content(package: Path) -> Iterator[tarfile.TarFile]:
    """Open a package's files as a stream: each can be read when it comes by."""
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - it is piped, see above
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                yield members
        except tarfile.TarError as error:
            raise PlatformError(f"{package}: cannot be read: {error}") from error
        finally:
            process.stdout.close()
    if process.returncode:
        raise PlatformError(f"{package}: dpkg-deb ended with {process.returncode}")


def missing_tools() -> list[str]:
    """Return what this host lacks for any of this, each with its remedy."""
    remedies = {
        "apt-get": "a Debian or Ubuntu host, or a guest of your own with `kernel:`",
        "dpkg-deb": "apt-get install dpkg",
    }
    return [
        f"{tool}: {remedy}"
        for tool, remedy in remedies.items()
        if shutil.which(tool) is None
    ]
