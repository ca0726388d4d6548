"""Says which fields may stand together: what the schema of one field cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vmsuite.model import Json


def given(fields: Mapping[str, Json], names: tuple[str, ...]) -> list[str]:
    """Return those of the names that have a value; ``null`` is none."""
    return [name for name in names if fields.get(name) is not None]


def exactly_one(fields: Mapping[str, Json], *names: str) -> Iterator[str]:
    """Yield what is wrong unless exactly one of these fields is given."""
    found = given(fields, names)
    if len(found) != 1:
        seen = f"got {_listed(found, 'and')}" if found else "got none of them"
        yield f"give exactly one of {_listed(list(names), 'and')}: {seen}"


def at_most_one(fields: Mapping[str, Json], *names: str) -> Iterator[str]:
    """Yield what is wrong if more than one of these fields is given."""
    found = given(fields, names)
    if len(found) > 1:
        yield f"{_listed(found, 'and')} exclude each other"


def together(fields: Mapping[str, Json], *names: str) -> Iterator[str]:
    """Yield what is wrong if some, but not all of these fields are given."""
    found = given(fields, names)
    if found and len(found) < len(names):
        missing = [name for name in names if name not in found]
        yield f"{_listed(found, 'and')} needs {_listed(missing, 'and')} beside it"


def only_with(fields: Mapping[str, Json], name: str, *others: str) -> Iterator[str]:
    """Yield what is wrong if a field is given, but none of those it belongs to."""
    if given(fields, (name,)) and not given(fields, others):
        yield f"'{name}' says nothing without {_listed(list(others), 'or')}"


def templated(value: Json) -> bool:
    """Whether a value, or one in it, is only known when the step runs."""
    if isinstance(value, str):
        return "{{" in value
    if isinstance(value, Mapping):
        return any(templated(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(templated(item) for item in value)
    return False


def _listed(names: list[str], word: str) -> str:
    quoted = [f"'{name}'" for name in names]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {word} {quoted[-1]}"
