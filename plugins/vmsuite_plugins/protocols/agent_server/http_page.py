"""Answers what a browser asks for: the page itself, and nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Response

from vmsuite_plugins.agents.web import page

_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)
_HOST = re.compile(
    r"[A-Za-z0-9.-]{1,255}(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?"
)


def page_response(host: str) -> Response:
    """Return the page; ``host`` is where the browser says that it found it."""
    return _response(HTTPStatus.OK, page(), "text/html; charset=utf-8", _policy(host))


def refusal(status: HTTPStatus, text: str) -> Response:
    """Return an answer that says why there is no page."""
    body = f"{text}\n".encode()
    return _response(status, body, "text/plain; charset=utf-8", "default-src 'none'")


def _response(status: HTTPStatus, body: bytes, kind: str, policy: str) -> Response:
    headers = Headers()
    for name, value in (
        ("Content-Type", kind),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", policy),
        ("Cross-Origin-Embedder-Policy", "require-corp"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),  # the address is a secret
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    ):
        headers[name] = value
    return Response(status.value, status.phrase, headers, body)


def _policy(host: str) -> str:
    """Let the page use its own script and style, and speak to where it came from."""
    # Older browsers do not count WebSockets as 'self'.
    socket = f" ws://{host}" if _HOST.fullmatch(host) else ""
    own = _hashes()
    return (
        f"default-src 'none'; script-src {own['script']}; style-src {own['style']}; "
        f"connect-src 'self'{socket}; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@functools.cache
def _hashes() -> dict[str, str]:
    """Return what a policy calls the script and the style that stand in the page."""
    found = {}
    for kind, content in _INLINE.findall(page()):
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        found[kind.decode()] = f"'sha256-{digest}'"
    return found
