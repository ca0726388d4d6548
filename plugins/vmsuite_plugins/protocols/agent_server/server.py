"""All that listens for the agents of one machine."""

from __future__ import annotations

from pathlib import Path

from vmsuite_plugins.protocols.agent_server.page_place import Note, Sink
from vmsuite_plugins.protocols.agent_server.tokens import Tokens
from vmsuite_plugins.protocols.agent_server.web_agent import WebAgent
from vmsuite_plugins.protocols.agent_server.web_server import WebServer


class AgentServer:
    """Listens for the web agent, at its socket and the host's loopback, if wanted."""

    def __init__(
        self,
        token: str,
        *,
        web: Path | None,
        sink: Sink,
        note: Note,
        patience: float = 10.0,
    ) -> None:
        self._tokens = Tokens(token)
        self.web = WebAgent(sink, self._tokens, note=note, patience=patience)
        self._server = WebServer(self._tokens, note=note, page=self.web.place.serve)
        self._web = web

    async def open(self) -> None:
        """Listen. Raises OSError."""
        if self._web is not None:
            self.web.url = await self._server.open(self._web)

    def begin(self, inherited: str = "") -> None:
        """Learn that the guest is another now; see ``WebAgent``."""
        self.web.place.empty(inherited)

    async def close(self) -> None:
        """Let go of everything."""
        self.web.place.empty()
        await self._server.close()
        self.web.url = ""
