"""Reads an expression without running it: its syntax, its names, its cost."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import TemplateSyntaxError, nodes
from jinja2.environment import Template
from jinja2.lexer import describe_token
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

from vmsuite.expressions.failure import Refused
from vmsuite.expressions.regex import compiled as compiled_pattern
from vmsuite.expressions.sandbox import Sandbox
from vmsuite.expressions.tools import (
    CHEAP_TESTS,
    CONCAT,
    DEFINED,
    LENIENT_FILTERS,
    LENIENT_TESTS,
    NO_ELSE,
)
from vmsuite.findings import nearest

MAX_LENGTH = 10_000
"""Characters of one expression."""
MAX_NESTING = 60
"""Operations inside operations; Python's own parser gives up soon after."""
_CHEAP_OPERATORS = (nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Add)
_LOADS = (nodes.Name, nodes.Getattr, nodes.Getitem)


class SyntaxTrouble(Exception):
    """What is wrong with an expression, and perhaps what was meant."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression ready to run; ``costly`` ones run under a time limit."""

    template: Template
    costly: bool


_LITERALS = re.compile(
    r"""'[^'\\]*'|"[^"\\]*"|(?<![\w.])(?:0|[1-9][0-9]{0,14})(?![\w.])""",
)


def shape_of(source: str) -> str:
    """Return an expression that is sound, and needs the same names, if this one is.

    Literals are replaced: of thousands that differ in them one needs to be parsed.
    Where their content matters (escapes, patterns) the expression is left as it is.
    """
    if "\\" in source or _PATTERNS.search(source) is not None:
        return source
    return _LITERALS.sub(_same_for_all, source)


_PATTERNS = re.compile("match|search|regex")


def _same_for_all(literal: re.Match[str]) -> str:
    return "0" if literal[0][0].isdigit() else "''"


def parse(sandbox: Sandbox, source: str) -> nodes.Expr:
    """Return the syntax tree of an expression. Raises SyntaxTrouble."""
    if not source.strip():
        raise SyntaxTrouble("the expression is empty")
    if len(source) > MAX_LENGTH:
        raise SyntaxTrouble(f"an expression has at most {MAX_LENGTH:,} characters")
    if source.lstrip().startswith("{{"):
        raise SyntaxTrouble("an expression is written without '{{' and '}}' here")
    try:
        parser = Parser(sandbox, source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            token = parser.stream.current
            literal = token.type in {"string", "integer", "float"}
            shown = token.value if literal else describe_token(token)
            raise SyntaxTrouble(f"unexpected '{shown}'", _missing_operator(source))
    except TemplateSyntaxError as error:
        raise SyntaxTrouble(
            _plain(str(error.message)), _missing_operator(source)
        ) from None
    except (RecursionError, MemoryError):
        raise SyntaxTrouble("the expression is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise SyntaxTrouble(str(error)) from None
    _check(sandbox, expression)
    return expression


def compile_expression(sandbox: Sandbox, source: str) -> Compiled:
    """Return an expression ready to run. Raises SyntaxTrouble."""
    expression = parse(sandbox, source)
    costly = any(map(_is_costly, _walk(expression)))
    strict = _Strict().visit(nodes.Assign(_result(), expression, lineno=1))
    tree = nodes.Template([strict], lineno=1)
    tree.set_environment(sandbox)
    return Compiled(sandbox.from_string(tree), costly)


def names_in(sandbox: Sandbox, source: str) -> frozenset[str]:
    """Return the names an expression needs; none for one that cannot be parsed.

    A name that it asks ``is defined``, or gives a ``default``, need not be there.
    """
    try:
        expression = parse(sandbox, source)
    except SyntaxTrouble:
        return frozenset()
    used: set[str] = set()
    optional: set[str] = set()
    for node in _walk(expression):
        if isinstance(node, nodes.Name):
            used.add(node.name)
        elif (isinstance(node, nodes.Test) and node.name in LENIENT_TESTS) or (
            isinstance(node, nodes.Filter) and node.name in LENIENT_FILTERS
        ):
            asked = node.node
            if isinstance(asked, nodes.Name):
                optional.add(asked.name)
    return frozenset(used - optional - sandbox.globals.keys())


def _result() -> nodes.Name:
    return nodes.Name("result", "store", lineno=1)


def _walk(expression: nodes.Node) -> Iterator[nodes.Node]:
    yield expression
    for child in expression.iter_child_nodes():
        yield from _walk(child)


def _depth(node: nodes.Node) -> int:
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        found, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(child, depth + 1) for child in found.iter_child_nodes()]
    return deepest


def _check(sandbox: Sandbox, expression: nodes.Expr) -> None:
    if _depth(expression) > MAX_NESTING:
        raise SyntaxTrouble("the expression is nested too deeply")
    for node in _walk(expression):
        if isinstance(node, nodes.Filter):
            _known("filter", node.name, sandbox.filters)
        elif isinstance(node, nodes.Test):
            _known("test", node.name, sandbox.tests)
        elif isinstance(node, nodes.Name) and node.name == "self":
            raise SyntaxTrouble("'self' cannot be used as a name")
        elif isinstance(node, nodes.Const) and node.value in {math.inf, -math.inf}:
            raise SyntaxTrouble("this number is too large")
        if isinstance(node, nodes.Filter | nodes.Test):
            _check_pattern(node)


def _known(what: str, name: str, table: Mapping[str, object]) -> None:
    if name.startswith("_") or name not in table:
        offered = [known for known in table if known[0].isalpha()]
        raise SyntaxTrouble(f"there is no {what} '{name}'", nearest(name, offered))


def _check_pattern(node: nodes.Filter | nodes.Test) -> None:
    """Find a pattern that is none, where it is written out."""
    takes_pattern = node.name in {"match", "search", "fullmatch"} or (
        node.name.startswith("regex_") and node.name != "regex_escape"
    )
    first = node.args[0] if node.args else None
    if takes_pattern and isinstance(first, nodes.Const):
        try:
            compiled_pattern(first.value, ignorecase=False, multiline=False)
        except Refused as error:
            raise SyntaxTrouble(f"{node.name}: {error}") from None


def _is_costly(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Test):
        return node.name not in CHEAP_TESTS
    if isinstance(node, nodes.BinExpr):
        cheap = (*_CHEAP_OPERATORS, nodes.And, nodes.Or)
        return not isinstance(node, cheap)
    return isinstance(node, nodes.Filter | nodes.Call | nodes.Concat)


class _Strict(NodeTransformer):
    """Makes ``~`` accountable, and what stands in lists and ``in`` be defined."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return _filter(CONCAT, parts)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802 - Jinja's
        self.generic_visit(node)
        node.items = [_defined(item) for item in node.items]
        return node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 - Jinja's
        self.generic_visit(node)
        node.items = [_defined(item) for item in node.items]
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:  # noqa: N802 - Jinja's
        self.generic_visit(node)
        node.value = _defined(node.value)
        return node

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:  # noqa: N802 - Jinja's
        self.generic_visit(node)
        if node.expr2 is None:
            nothing = nodes.Const(None, lineno=node.lineno)
            node.expr2 = _filter(NO_ELSE, nothing)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802 - Jinja's
        self.generic_visit(node)
        node.expr = _defined(node.expr)
        for operand in node.ops:
            operand.expr = _defined(operand.expr)
        return node


def _defined(node: nodes.Expr) -> nodes.Expr:
    return _filter(DEFINED, node) if isinstance(node, _LOADS) else node


def _filter(name: str, node: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _plain(message: str) -> str:
    """Return Jinja's message in words that fit a single expression."""
    message = message.replace("end of print statement", "end of the expression")
    message = message.replace("end of template", "end of the expression")
    message = re.sub(r" at \d+$", "", message)
    return message[:1].lower() + message[1:]


_TWO_WORDS = re.compile(r"(?:^|\s)(&&|\|\||!)")
_INSTEAD = {"&&": "'and'", "||": "'or'", "!": "'not'"}


@lru_cache(maxsize=64)
def _missing_operator(source: str) -> str:
    found = _TWO_WORDS.search(source)
    return f"write {_INSTEAD[found[1]]} for '{found[1]}'" if found else ""
