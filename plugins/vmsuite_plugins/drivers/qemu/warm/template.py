"""A machine that was booted, prepared and saved: what forks start from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from vmsuite_plugins.drivers.qemu.warm import sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What is known of a template besides its files; a JSON object on disk."""

    about: str
    """What it is a template of, in a few words."""
    agent: bool
    """Whether QEMU's guest agent had its port open."""
    native: bool
    """Whether our own agent had."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What was learned of the guest."""
    console: str = ""
    """The end of what its serial console said: forks have said it, too."""
    agents_token: str = field(default="", repr=False)
    """What a page in its memory knows as its machine's token."""
    fork_memory: int = 0
    """Bytes that a fork, just after it answered, had for itself; 0: not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The files of a template, open; nobody can change or remove them any more."""

    digest: str
    saved: Saved
    ram: int
    """Descriptor of a sealed memory file as large as the machine's memory."""
    state: int
    """Descriptor of a sealed memory file: the devices' state."""
    disks: tuple[int, ...] = ()
    """Descriptors of qcow2 images on the given disks; forks put overlays on them."""
    variables: int | None = None
    """Descriptor of the UEFI firmware's variables."""
    lease: int | None = None
    """Descriptor that shows others that it is in use; None: it is not in the cache."""

    def close(self) -> None:
        """Let go of the files; forks that run keep what they have open."""
        given = (self.ram, self.state, *self.disks, self.variables, self.lease)
        for descriptor in given:
            if descriptor is not None:
                os.close(descriptor)

    def open_state(self) -> int:
        """Return a descriptor to read the state from its beginning; close it."""
        return sealed.another(self.state)
