"""Finds UEFI firmware on the host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REMEDY = "apt-get install ovmf"

_KNOWN = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
)
_DESCRIPTIONS = Path("/usr/share/qemu/firmware")


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """UEFI code, and the template of the store for its variables."""

    code: Path
    variables: Path


def find_uefi() -> Firmware | None:
    """Return the host's UEFI firmware for x86-64 without secure boot, or None."""
    for code, variables in (*_KNOWN, *_described()):
        found = Firmware(code=Path(code), variables=Path(variables))
        if found.code.is_file() and found.variables.is_file():
            return found
    return None


def _described() -> Iterator[tuple[str, str]]:
    """Yield what QEMU's own firmware descriptions name."""
    for path in sorted(_DESCRIPTIONS.glob("*.json")):
        try:
            description = json.loads(path.read_text())
            mapping = description["mapping"]
            targets = {target["architecture"] for target in description["targets"]}
            features = set(description["features"])
            if "x86_64" in targets and not features & {"requires-smm", "enrolled-keys"}:
                template = mapping["nvram-template"]["filename"]
                yield mapping["executable"]["filename"], template
        except (OSError, ValueError, KeyError, TypeError):
            continue
