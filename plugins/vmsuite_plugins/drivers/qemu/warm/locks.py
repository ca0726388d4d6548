"""Locks on files and folders; the kernel lets them go when their holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def flocked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock (``LOCK_SH`` or ``LOCK_EX``) on a file, made if need be; blocks."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)


def is_locked(path: Path) -> bool:
    """Whether somebody holds a lock on a file; one that cannot be tried is in use."""
    try:
        descriptor = _opened(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not taken(descriptor)
    except OSError:  # a network's file system, and a file that can only be read
        return True
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def taken(descriptor: int) -> bool:
    """Lock a file for us alone, if nobody else has; return whether it is."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
