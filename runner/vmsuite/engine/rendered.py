"""Checks again what templates gave, before a step or condition may use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from vmsuite.errors import PlatformError
from vmsuite.kinds import Kind
from vmsuite.model import Json

K = TypeVar("K", bound=Kind)


class InvalidValue(PlatformError):
    """A template gave a value that its field does not take: the suite's fault.

    Its outcome is ``error``: nothing was asked of the subject yet.
    """


def checked(kind: type[K], fields: Mapping[str, Json], title: str) -> K:
    """Return the kind with these rendered fields. Raises InvalidValue."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or title}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_context=False)
        )
        raise InvalidValue(
            f"{title!r} got a value it cannot take: {problems}",
            hint="look at what the template gave",
        ) from error
