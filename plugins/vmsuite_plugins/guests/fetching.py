"""Fetches a guest's packages, with lists of its own where the host's do not serve."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.quantities import show_size
from vmsuite_plugins.guests.debian import DebianArchive, Package

Choose = Callable[[DebianArchive], Sequence[Package]]
"""Says which packages an archive has for a guest. Raises PlatformError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Larder:
    """Where one guest's packages lie: ``packages/``, and ``apt/`` while it fetches."""

    guest: str
    folder: Path
    log: Callable[[str], None]

    @property
    def packages(self) -> Path:
        """The folder with the packages, and with nothing else."""
        return self.folder / "packages"

    def fetch(self, choose: Choose) -> Sequence[Package]:
        """Download all chosen packages, with the host's lists or else with new ones.

        Raises PlatformError if neither serves.
        """
        state = self.folder / "apt"
        try:
            return self._download(DebianArchive(state=state), choose)
        except PlatformError as stale:
            first = stale.message.splitlines()[0]
            self._say(f"the host's package lists do not serve: {first}")
        own = DebianArchive(state=state, private=True)
        try:
            self._say("fetching package lists of our own")
            own.update()
            packages = self._download(own, choose)
        except PlatformError as error:
            raise PlatformError(
                f"cannot get the packages of {self.guest}: {error.message}",
                hint="is the network up? otherwise as root: apt-get update",
                evidence=error.evidence,
            ) from error
        shutil.rmtree(state, ignore_errors=True)  # lists are large and soon stale
        return packages

    def _download(self, archive: DebianArchive, choose: Choose) -> Sequence[Package]:
        packages = choose(archive)
        size = show_size(sum(package.size for package in packages))
        self._say(f"{len(packages)} packages, {size}")
        files = archive.download(packages, self.packages)
        for old in set(self.packages.iterdir()) - set(files):
            old.unlink()
        return packages

    def _say(self, line: str) -> None:
        self.log(f"{self.guest}: {line}")
