"""All that listens for the agents of one machine."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from vmsuite_plugins.protocols.agent_server.limits import Notes
from vmsuite_plugins.protocols.agent_server.page_place import Note, Sink
from vmsuite_plugins.protocols.agent_server.tcp_server import Native, TcpServer
from vmsuite_plugins.protocols.agent_server.tokens import Tokens
from vmsuite_plugins.protocols.agent_server.verifier import Verifier
from vmsuite_plugins.protocols.agent_server.web_agent import WebAgent
from vmsuite_plugins.protocols.agent_server.web_server import WebServer, WebSocket

WEB, TCP, VERIFIER = "web", "tcp", "verifier"


class AgentServer:
    """Listens at sockets in a private folder, and for browsers at the host's loopback.

    ``kinds`` says which agents are wanted. ``native`` takes the connections of native
    agents that have registered.
    """

    def __init__(
        self,
        token: str,
        *,
        kinds: Collection[str] = (WEB,),
        sink: Sink,
        note: Note,
        native: Native | None = None,
        patience: float = 10.0,
    ) -> None:
        tokens = Tokens(token)
        note = Notes(note)
        self.web = (
            WebAgent(sink, tokens, note=note, patience=patience)
            if WEB in kinds
            else None
        )
        self.verifier = (
            Verifier(note=note, patience=patience) if VERIFIER in kinds else None
        )
        self._sockets = WebServer(
            tokens,
            note=note,
            page=None if self.web is None else self.web.place.serve,
            verifier=None if self.verifier is None else self._verifier_called,
        )
        self._plain = TcpServer(
            tokens,
            note=note,
            native=native if TCP in kinds else None,
            verifier=self.verifier,
        )
        self._tokens = tokens

    async def open(self, *, web: Path | None = None, tcp: Path | None = None) -> None:
        """Listen at these sockets. Raises OSError."""
        try:
            if web is not None:
                url = await self._sockets.open(web)
                if self.web is not None:
                    self.web.url = url
            if tcp is not None:
                await self._plain.open(tcp)
        except OSError:
            await self.close()
            raise

    def begin(self, inherited: str = "") -> None:
        """Learn that the guest is another now: started, forked, or put back.

        A page may be in its memory, with the token that it had when it was saved.
        """
        self._tokens.inherit(inherited)
        if self.web is not None:
            self.web.place.empty()
        if self.verifier is not None:
            self.verifier.end()

    async def close(self) -> None:
        """Let go of everything."""
        self.begin()
        await self._sockets.close()
        await self._plain.close()
        if self.web is not None:
            self.web.url = ""

    async def _verifier_called(self, connection: WebSocket, _token: str) -> None:
        if self.verifier is not None:
            await self.verifier.serve(connection)
