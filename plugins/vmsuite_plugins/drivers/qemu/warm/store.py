"""Templates in the user's cache, ``templates/qemu/<digest>/``: whole or not there."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.model import Json
from vmsuite.ports import TemplateInfo
from vmsuite_plugins.drivers.qemu.warm import sealed
from vmsuite_plugins.drivers.qemu.warm.locks import flocked, is_locked, taken
from vmsuite_plugins.drivers.qemu.warm.template import Saved, Template

ROOM = 10 << 30
"""Bytes that all templates of a user may take before the oldest ones go."""

_MANIFEST = "manifest.json"
_USED = "used"
_MAKING = ".making-"
_REFUSAL = ".refusal"
_LOCK = ".lock"
_LOOK_AGAIN = 0.05
_WAITED_AT_MOST = 600.0
_REFUSED_FOR = 24 * 3600.0
_ALIVE = "maker"
_NOT_AS_WRITTEN = (
    sealed.Damaged,
    FileNotFoundError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)
"""What reading a damaged template raises. Any other OSError is the host's trouble of
this moment, such as too many open files: no reason to throw a template away."""


class TemplateStore:
    """All templates of one user; several runs may use it at once."""

    def __init__(self, cache_dir: Path, *, room: int = ROOM) -> None:
        self.folder = cache_dir / "templates" / "qemu"
        self.room = room

    # --- finding and keeping --------------------------------------------------------

    def load(self, digest: str, damaged: list[str] | None = None) -> Template | None:
        """Return a template, ready to be forked; blocks while it is read and checked.

        One that is damaged is removed, and None returned as if it had not been there;
        what was wrong with it is added to ``damaged``.
        """
        folder = self.folder / digest
        found = [] if damaged is None else damaged
        try:
            manifest = _read(folder)
        except OSError:
            return None
        except ValueError:
            found.append(f"{folder / _MANIFEST}: it cannot be read")
            self._discard(folder)
            return None
        opened: list[int] = []
        try:
            template = _open(digest, folder, manifest, opened)
        except (OSError, *_NOT_AS_WRITTEN) as error:
            for descriptor in opened:
                os.close(descriptor)
            if isinstance(error, _NOT_AS_WRITTEN):
                found.append(str(error))
                self._discard(folder)
            return None
        self._touch(folder)
        return template

    def keep(self, template: Template) -> Template:
        """Write a template, so that later runs find it; return it as one in use.

        Raises OSError if the cache cannot be written or is full; nothing stays then.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.making() as making:
            sums = {
                name: sealed.write_copy(descriptor, making / name)
                for name, descriptor in _parts(template)
            }
            manifest = {
                "saved": dataclasses.asdict(template.saved),
                "files": sums,
                "made": time.time(),
            }
            # It may hold a token.
            (making / _MANIFEST).touch(mode=0o600)
            (making / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            (making / _USED).touch()
            final = self.folder / template.digest
            self._discard(final)
            making.rename(final)
            (final / _ALIVE).unlink(missing_ok=True)
        self._trim(keep=template.digest)
        return dataclasses.replace(template, lease=_lease(final))

    @contextmanager
    def making(self) -> Iterator[Path]:
        """Give a folder that is swept if we die; it goes unless it was renamed."""
        with flocked(self.folder / _LOCK, fcntl.LOCK_SH):
            making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=self.folder))
            alive = os.open(
                making / _ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(alive, fcntl.LOCK_EX)
        try:
            yield making
        finally:
            os.close(alive)
            shutil.rmtree(making, ignore_errors=True)

    def sweep(self) -> Sequence[str]:
        """Remove what makers left that died; return what that was."""
        swept: list[str] = []
        if not any(self.folder.glob(f"{_MAKING}*")):
            return swept
        with suppress(OSError), flocked(self.folder / _LOCK, fcntl.LOCK_EX):
            for path in self.folder.glob(f"{_MAKING}*"):
                if not is_locked(path / _ALIVE):
                    shutil.rmtree(path, ignore_errors=True)
                    swept.append(str(path))
        return swept

    @asynccontextmanager
    async def locked(
        self, digest: str, waits: Callable[[], None] = lambda: None
    ) -> AsyncIterator[None]:
        """Keep others from making the same template meanwhile.

        ``waits`` is called if another run has it. One that was stopped in the middle
        keeps it for ever: after ten minutes we go on without.
        Where the cache cannot be written, nobody else can keep one there either.
        """
        lock = None
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self.folder / f".{digest}{_LOCK}"
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if lock is not None and not _free(lock):
                waits()
                # Not in a thread: one that waits for a lock could not be called off.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_WAITED_AT_MOST):
                        while not _free(lock):  # noqa: ASYNC110 - a file's lock
                            await asyncio.sleep(_LOOK_AGAIN)
            yield
        finally:
            if lock is not None:
                os.close(lock)

    # --- machines that cannot be forked -----------------------------------------------

    def refusal(self, digest: str) -> str:
        """Return why such a machine could not be forked when it was tried; or ""."""
        path = self.folder / f"{digest}{_REFUSAL}"
        try:
            fresh = time.time() - path.stat().st_mtime < _REFUSED_FOR
            return path.read_text(encoding="utf-8") if fresh else ""
        except (OSError, ValueError):
            return ""

    def note_refusal(self, digest: str, reason: str) -> None:
        """Remember it for a day, so that it is tried once; not in a read-only cache."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self.folder / f"{digest}{_REFUSAL}"
            path.write_text(reason, encoding="utf-8")
        except OSError:
            return

    # --- looking after them -----------------------------------------------------------

    def all(self) -> Sequence[TemplateInfo]:
        """Return what is there, the latest used first."""
        found = [_info(path) for path in self._folders()]
        return sorted(found, key=lambda info: info.used, reverse=True)

    def remove(self, digest: str) -> None:
        """Remove one. Raises KeyError if it is not there, PlatformError if it stays."""
        folder = self.folder / digest
        if folder not in self._folders():
            raise KeyError(digest)
        if is_locked(folder / _USED):
            raise PlatformError(f"template {digest}: a run uses it", hint="try later")
        self._discard(folder)
        if folder.exists():
            raise PlatformError(f"{folder}: cannot be removed")

    def distrust(self, digest: str) -> None:
        """Remove a template whose forks fail."""
        self._discard(self.folder / digest)

    def _trim(self, keep: str) -> None:
        """Remove what was not used for longest while all take more than their room.

        Whoever changes a kernel all day makes a template with each.
        """
        found = list(self.all())
        total = sum(info.size for info in found)
        while found and total > self.room:
            info = found.pop()
            if info.digest != keep and not info.busy:
                self._discard(info.folder)
                total -= info.size

    def _folders(self) -> Sequence[Path]:
        return [path.parent for path in self.folder.glob(f"[!.]*/{_MANIFEST}")]

    def _discard(self, folder: Path) -> None:
        """Remove a template at once, so that nobody ever finds half of one."""
        grave = self.folder / f"{_MAKING}{secrets.token_hex(8)}"
        try:
            folder.rename(grave)
        except OSError:  # it is not there, or cannot be removed
            return
        shutil.rmtree(grave, ignore_errors=True)

    def clean(self) -> None:
        """Remove what is of no template that is there: old refusals, locks of none."""
        kept = {info.digest for info in self.all()}
        for path in self.folder.glob(f"*{_REFUSAL}"):
            if not self.refusal(path.name.removesuffix(_REFUSAL)):
                path.unlink(missing_ok=True)
        for path in self.folder.glob(f".?*{_LOCK}"):
            digest = path.name.removesuffix(_LOCK)[1:]
            if digest not in kept and not is_locked(path):
                path.unlink(missing_ok=True)

    def _touch(self, folder: Path) -> None:
        with suppress(OSError):  # a cache that can only be read
            (folder / _USED).touch()


def _free(lock: int) -> bool:
    try:
        return taken(lock)
    except OSError:  # a file system without locks
        return True


def _parts(template: Template) -> Iterator[tuple[str, int]]:
    yield "ram", template.ram
    yield "state", template.state
    for number, disk in enumerate(template.disks):
        yield f"disk{number}.qcow2", disk
    if template.variables is not None:
        yield "variables", template.variables


def _read(folder: Path) -> Json:
    return json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))


def _open(digest: str, folder: Path, manifest: Json, opened: list[int]) -> Template:
    """Open all files of a template; ``opened`` is what to close if one is not right."""
    saved, sums = Saved(**manifest["saved"]), manifest["files"]

    def noted(descriptor: int) -> int:
        opened.append(descriptor)
        return descriptor

    lease = noted(_lease(folder))
    disks = sorted(name for name in sums if name.startswith("disk"))
    if len(disks) + ("variables" in sums) + 2 != len(sums):
        raise sealed.Damaged(f"{folder}: unknown files")
    return Template(
        digest=digest,
        saved=saved,
        ram=noted(sealed.read_copy(folder / "ram", sums["ram"])),
        state=noted(sealed.read_copy(folder / "state", sums["state"])),
        disks=tuple(
            noted(
                sealed.open_copy(
                    folder / f"disk{number}.qcow2", sums[f"disk{number}.qcow2"]
                )
            )
            for number in range(len(disks))
        ),
        variables=(
            noted(sealed.open_copy(folder / "variables", sums["variables"]))
            if "variables" in sums
            else None
        ),
        lease=lease,
    )


def _lease(folder: Path) -> int:
    """Return what shows, as long as it is open, that a run uses the template."""
    descriptor = os.open(folder / _USED, os.O_RDONLY | os.O_CLOEXEC)
    # Who looks whether it is in use holds the lock for a moment.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _info(folder: Path) -> TemplateInfo:
    """Return what a folder holds, and its trouble if that shows without reading all."""
    size, about, made, trouble = 0, "", 0.0, ""
    try:
        manifest = _read(folder)
        about, made = str(manifest["saved"]["about"]), float(manifest["made"])
        for name in manifest["files"]:
            size += (folder / name).stat().st_blocks * 512
    except FileNotFoundError as error:
        trouble = f"{Path(error.filename).name} is missing"
    except (OSError, *_NOT_AS_WRITTEN) as error:
        trouble = f"{_MANIFEST} cannot be read: {error}"
    try:
        used = (folder / _USED).stat().st_mtime
    except OSError:
        used = made
    return TemplateInfo(
        digest=folder.name,
        driver="qemu",
        machine=about,
        folder=folder,
        size=size,
        made=made,
        used=used,
        busy=is_locked(folder / _USED),
        trouble=trouble,
    )
