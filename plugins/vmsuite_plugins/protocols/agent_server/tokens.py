"""Decides who may speak for a machine's guest: whoever knows the machine's token."""

from __future__ import annotations

import hmac
import secrets

OWN = "own"
INHERITED = "inherited"

LENGTH = 32
"""Characters of every token: what a guest reads of it must not change its size."""


def new_token() -> str:
    """Return a token that nobody can guess, of letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(LENGTH * 3 // 4)


class Tokens:
    """The token of one machine, and for a while the one that its memory brought along.

    A machine that goes on from a saved state holds the token of the machine that was
    saved. It is good for one session, until that has shown that it knows the new one.
    """

    def __init__(self, own: str) -> None:
        self.own = own
        self._inherited = ""
        self._claimed_by = ""

    def inherit(self, token: str) -> None:
        """Accept a token that a saved state brought along; an empty one is none."""
        self._inherited = "" if token == self.own else token
        self._claimed_by = ""

    def find(self, given: str) -> str:
        """Return ``own``, ``inherited`` or, for a wrong one, nothing.

        It takes the same time whatever is wrong with it.
        """
        candidate = given.encode("utf-8", "replace")
        own = hmac.compare_digest(candidate, self.own.encode())
        inherited = hmac.compare_digest(candidate, self._inherited.encode())
        if own:
            return OWN
        return INHERITED if inherited and self._inherited else ""

    def claim(self, session: str) -> bool:
        """Let a session use the inherited token; false if another one has."""
        if not self._inherited:
            return False
        self._claimed_by = self._claimed_by or session
        return self._claimed_by == session

    def confirm(self, session: str) -> None:
        """Learn that a session knows the own token: then the inherited one is over."""
        if self._claimed_by == session:
            self._inherited = ""
