"""Where a guest finds the agents' server of its machine, and how it is told."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from vmsuite_plugins.drivers.qemu import relay

WEB = "web"
TCP = "tcp"
VERIFIER = "verifier"

ADDRESS = "10.0.2.100"
"""The server's, in every guest's own network."""
PORTS = {WEB: 8765, TCP: 8766}
TOLD = "opt/org.vmsuite"
"""Before the names under which a guest finds, in fw_cfg, where its agents call."""

TOKEN_FILE, URL_FILE, ADDRESS_FILE = "agent-token", "web-agent", "agent-address"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDoor:
    """The way from one guest to its machine's agents' server."""

    folder: Path
    """Private: holds the sockets, and what the guest is told."""
    kinds: frozenset[str]
    """Which agents are waited for: ``web``, ``tcp``, ``verifier``."""
    token: str = field(repr=False)
    inherited: str = field(default="", repr=False)
    """The token that the guest's memory holds, if it is a saved machine's."""
    python: str = sys.executable
    """What runs the relay."""
    relay: str = str(relay.__file__)

    @property
    def web(self) -> Path | None:
        """The socket for the web agent's page, and for older verifiers beside it."""
        return self.folder / WEB if self.kinds & {WEB, VERIFIER} else None

    @property
    def tcp(self) -> Path | None:
        """The socket for agents that speak without HTTP."""
        return self.folder / TCP if self.kinds & {TCP, VERIFIER} else None

    @property
    def url(self) -> str:
        """Where the guest's browser finds the page."""
        return f"http://{ADDRESS}:{PORTS[WEB]}/{self.token}/"

    def anybodys(self) -> AgentDoor:
        """Return it without what differs with each machine and each host's Python."""
        return replace(self, folder=Path(), token="", inherited="", python="", relay="")

    def told(self) -> dict[str, str]:
        """Return what the guest is told, by the name of the file."""
        told = {}
        if WEB in self.kinds:
            told[URL_FILE] = self.url
        if self.tcp is not None:
            told[TOKEN_FILE] = self.token
            told[ADDRESS_FILE] = f"{ADDRESS}:{PORTS[TCP]}"
        return told

    def options(self) -> Iterator[str]:
        """Yield QEMU's options that let the guest know.

        As files: what stands on a command line is no secret on this host.
        """
        for name in self.told():
            path = str(self.folder / name).replace(",", ",,")
            yield from ("-fw_cfg", f"name={TOLD}/{name},file={path}")

    def forwards(self) -> str:
        """Return what to add to the options of the guest's network."""
        found = ""
        for name, socket in ((WEB, self.web), (TCP, self.tcp)):
            if socket is not None:
                # Not a shell's, but split and quoted as one would.
                words = (self.python, "-I", "-S", self.relay, str(socket))
                command = shlex.join(words).replace(",", ",,")
                found += f",guestfwd=tcp:{ADDRESS}:{PORTS[name]}-cmd:{command}"
        return found
