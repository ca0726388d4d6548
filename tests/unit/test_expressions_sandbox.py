"""Nothing but data can be reached from an expression."""

from __future__ import annotations

import pytest

from vmsuite.expressions import ExpressionError, Templates


def helper() -> int:
    return 1


TEMPLATES = Templates({"helper": helper})


class View:
    """Something the engine puts into the scope."""

    public = 1

    def method(self) -> int:
        return 2


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__",
        "''['__class__']",
        "[].__class__.__base__.__subclasses__()",
        "helper.__globals__",
        "helper.__code__",
        "helper['__globals__']",
        "view.__class__",
        "view['__class__']",
        "view.method.__self__",
        "view.method.__func__",
        "data.get.func",
        "data.get.args",
        "'{0.__class__}'.format(view)",
        "'{0.__class__}'.format_map(data)",
        "data.update({'a': 2})",
        "data.pop('a')",
        "data.clear()",
        "items.append(1)",
        "items.sort()",
        "items|map('attr', '__class__')|list",
        "[view]|map(attribute='__class__')|list",
        "(items|map('string')).gi_frame",
        "(items|map('string')).throw(1)",
        "range.__init__",
        "lipsum()",
        "cycler(1)",
        "namespace(a=1)",
        "dict(a=1)",
        "self._TemplateReference__context",
        "context",
        "environment",
        "caller()",
        "'a'.encode()",
        "'a'.translate({})",
        "(1).to_bytes(10, 'big')",
        "1.5.hex()",
    ],
)
def test_an_expression_stays_in_its_sandbox(expression: str) -> None:
    data = {"a": 1}
    items = [3, 2, 1]
    with pytest.raises(ExpressionError):
        TEMPLATES.evaluate(expression, {"view": View(), "data": data, "items": items})
    assert (data, items) == ({"a": 1}, [3, 2, 1])


def test_what_is_offered_works() -> None:
    scope = {"view": View(), "data": {"a": 1}}
    assert TEMPLATES.evaluate("view.public + view.method() + helper()", scope) == 4
    assert TEMPLATES.evaluate("data.get('a')", scope) == 1


def test_what_comes_out_is_a_copy() -> None:
    data = {"a": [1]}
    TEMPLATES.evaluate("data", {"data": data})["a"].append(2)
    assert data == {"a": [1]}
