"""Keeps built guest images on disk: each whole or not there, built once, checked."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MANIFEST = "manifest.json"
_BUILDING = ".building-"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """One image on disk; ``facts`` are what its builder found worth telling."""

    folder: Path
    digest: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStore:
    """The images of one guest, ``folder/<digest>/`` each."""

    folder: Path

    def find(self, recipe: str) -> StoredImage | None:
        """Return the newest undamaged image that was built by this recipe."""
        manifests = sorted(
            self.folder.glob(f"[!.]*/{_MANIFEST}"), key=_modified, reverse=True
        )
        for path in manifests:
            image = _read(path, recipe)
            if image is not None:
                return image
        return None

    @contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Keep other builders out; call ``waiting`` first if one is at work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in self.folder.glob(f"{_BUILDING}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            yield

    def add(
        self, recipe: str, digest: str, write: Callable[[Path], Mapping[str, str]]
    ) -> StoredImage:
        """Let ``write`` fill a folder, then give it its name; call it locked.

        ``write`` returns the image's facts. What it leaves in the folder is whole
        when the name appears, and is checked by size and SHA-256 ever after.
        """
        building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=self.folder))
        try:
            facts = dict(write(building))
            manifest = {
                "recipe": recipe,
                "facts": facts,
                "files": {
                    path.name: _fingerprint(path) for path in sorted(building.iterdir())
                },
            }
            text = json.dumps(manifest, indent=2) + "\n"
            (building / _MANIFEST).write_text(text, encoding="utf-8")
            building.chmod(0o755)
            final = self.folder / digest
            if final.exists():  # damaged, or of another recipe with the same content
                displaced = tempfile.mkdtemp(prefix=_BUILDING, dir=self.folder)
                final.rename(displaced)
                building.rename(final)
                shutil.rmtree(displaced, ignore_errors=True)
            else:
                building.rename(final)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        return StoredImage(folder=final, digest=digest, facts=facts)


def digest_of(parts: Mapping[str, str | bytes]) -> str:
    """Return a short digest of named values, whatever their order."""
    total = hashlib.sha256()
    for name in sorted(parts):
        value = parts[name]
        data = value.encode() if isinstance(value, str) else value
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    return total.hexdigest()[:16]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(manifest: Path, recipe: str) -> StoredImage | None:
    try:
        value = json.loads(manifest.read_text(encoding="utf-8"))
        if value["recipe"] != recipe:
            return None
        folder = manifest.parent
        for name, expected in value["files"].items():
            if not _intact(folder / name, expected):
                return None
        facts = {str(key): str(text) for key, text in value["facts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return StoredImage(folder=folder, digest=folder.name, facts=facts)


def _fingerprint(path: Path) -> dict[str, str | int]:
    status = path.stat()
    with path.open("rb") as content:
        checksum = hashlib.file_digest(content, "sha256").hexdigest()
    return {"size": status.st_size, "mtime": status.st_mtime_ns, "sha256": checksum}


def _intact(path: Path, expected: Mapping[str, str | int]) -> bool:
    """Whether a file is as it was written; it is read only if its time changed."""
    status = path.stat()
    if status.st_size != expected["size"]:
        return False
    if status.st_mtime_ns == expected["mtime"]:
        return True
    return _fingerprint(path)["sha256"] == expected["sha256"] and os.access(
        path, os.R_OK
    )
