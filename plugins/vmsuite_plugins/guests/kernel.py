"""Prepares a Linux kernel and its modules for a guest without a distribution."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from vmsuite_plugins.guests import elf
from vmsuite_plugins.guests.compression import unpack_stream

_SETUP_SECTORS = 0x1F1
_MAGIC_AT = 0x202
_MAGIC = b"HdrS"
_PAYLOAD = struct.Struct("<II")
_PAYLOAD_AT = 0x248
_PVH_NOTE = (b"Xen\0", 18)
"""By it, hypervisors find the 32-bit entry of an ELF kernel (XEN_ELFNOTE_PHYS32)."""


def uncompressed(image: bytes) -> bytes | None:
    """Return the ELF kernel inside a bzImage, None if machines cannot start that.

    An emulated guest unpacks XZ for three seconds, the host does it once.
    """
    if image[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
        return None
    start = ((image[_SETUP_SECTORS] or 4) + 1) * 512
    offset, length = _PAYLOAD.unpack_from(image, _PAYLOAD_AT)
    # The payload's last bytes are its unpacked size, for the kernel's own unpacker.
    inner = unpack_stream(image[start + offset : start + offset + length - 4])
    if inner is None:
        return None
    try:
        return inner if elf.has_note(inner, *_PVH_NOTE) else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One kernel module: what it is called and what its own header says."""

    name: str
    path: str
    """Relative to ``/lib/modules/<version>``."""
    data: bytes
    depends: tuple[str, ...]
    aliases: tuple[str, ...]


def read_module(path: str, data: bytes) -> Module:
    """Return a module by what its ``.modinfo`` section says."""
    return Module(
        name=_plain(PurePosixPath(path).name.split(".")[0]),
        path=path,
        data=data,
        depends=tuple(
            _plain(name)
            for value in _values(data, b"depends")
            for name in value.split(",")
            if name
        ),
        aliases=tuple(_values(data, b"alias")),
    )


def closure(wanted: Iterable[str], known: Mapping[str, Module]) -> list[Module]:
    """Return these modules and all they depend on, dependencies first.

    A name that the kernel does not have as a module is left out: another kernel may
    have it built in. Raises ValueError if a module lacks one that it depends on.
    """
    ordered: dict[str, Module] = {}

    def add(module: Module) -> None:
        if module.name in ordered:
            return
        for name in module.depends:
            if name not in known:
                raise ValueError(f"module {module.name} depends on {name}: not there")
            add(known[name])
        ordered[module.name] = module

    for name in wanted:
        if _plain(name) in known:
            add(known[_plain(name)])
    return list(ordered.values())


def dependency_table(modules: Iterable[Module]) -> str:
    """Return ``modules.dep`` for these modules."""
    chosen = {module.name: module for module in modules}
    lines = []
    for module in chosen.values():
        behind = closure(module.depends, chosen)
        rest = " ".join(dependency.path for dependency in reversed(behind))
        lines.append(f"{module.path}: {rest}".rstrip() + "\n")
    return "".join(lines)


def alias_table(modules: Iterable[Module]) -> str:
    """Return ``modules.alias`` for these modules."""
    return "".join(
        f"alias {alias} {module.name}\n"
        for module in modules
        for alias in module.aliases
    )


def _values(data: bytes, key: bytes) -> list[str]:
    return [
        match.decode("ascii", "replace")
        for match in re.findall(rb"(?<![\w ])%s=([^\0]*)" % key, data)
    ]


def _plain(name: str) -> str:
    return name.replace("-", "_")
