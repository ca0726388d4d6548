"""Templates: checked when a suite is planned, rendered once when a step runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from vmsuite.errors import VmsuiteError
from vmsuite.expressions import scanner
from vmsuite.expressions.failure import (
    ExpressionError,
    NotDefined,
    Refused,
    TooMuch,
)
from vmsuite.expressions.limits import Allowance, allowance, take_text, within_time
from vmsuite.expressions.parsing import (
    Compiled,
    SyntaxTrouble,
    compile_expression,
    names_in,
    parse,
    shape_of,
)
from vmsuite.expressions.sandbox import Sandbox
from vmsuite.expressions.scanner import OPEN, Piece, Unclosed
from vmsuite.expressions.values import to_json, to_text
from vmsuite.model import Json

Pointer = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with the template at a place of a value."""

    pointer: Pointer
    message: str


class Templates:
    """Everything that is done with ``{{ expression }}``, for one set of functions.

    Only ``{{ }}`` in text means anything; ``{%``, ``{#`` and ``${`` are plain text.
    What an expression gives is never rendered again.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._sandbox = Sandbox(functions)
        self._compiled = lru_cache(maxsize=4096)(self._compile)
        self._split = lru_cache(maxsize=4096)(scanner.split)
        self._trouble_of_shape = lru_cache(maxsize=16384)(self._parse_trouble)
        self._names_of_shape = lru_cache(maxsize=16384)(
            lambda expression: names_in(self._sandbox, expression)
        )

    # --- without running --------------------------------------------------------

    def is_template(self, value: Json) -> bool:
        """Whether any text in the value holds ``{{``."""
        if isinstance(value, str):
            return OPEN in value
        if isinstance(value, Mapping):
            return any(map(self.is_template, value.values()))
        if isinstance(value, list | tuple):
            return any(map(self.is_template, value))
        return False

    def check(self, value: Json, pointer: Pointer = ()) -> Iterator[Trouble]:
        """Yield what is wrong with the templates in a value, however deep they are."""
        if isinstance(value, str):
            if OPEN in value:
                yield from self._check_text(value, pointer)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield from self.check(item, (*pointer, key))
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                yield from self.check(item, (*pointer, index))

    def check_expression(self, expression: str) -> str | None:
        """Return what is wrong with a bare expression, None if nothing is."""
        return self._trouble_in(expression)

    def names(self, value: Json) -> frozenset[str]:
        """Return the names that the templates in a value need to be defined.

        Functions are not among them, nor a name that is asked ``is defined`` or given
        a ``default``. Templates that cannot be parsed name nothing.
        """
        if isinstance(value, str):
            return self._names_in_text(value) if OPEN in value else frozenset()
        if isinstance(value, Mapping):
            return frozenset().union(*map(self.names, value.values()))
        if isinstance(value, list | tuple):
            return frozenset().union(*map(self.names, value))
        return frozenset()

    def names_in_expression(self, expression: str) -> frozenset[str]:
        """Return the names that a bare expression needs, as ``names`` does."""
        return self._names_in(expression)

    # --- running ----------------------------------------------------------------

    def render(self, value: Json, scope: Mapping[str, Any]) -> Json:
        """Return the value with every template in it rendered, once.

        Text that is exactly one expression becomes what that gives, type and all; in
        other text, what is no text stands as JSON (``true``, ``null``, ``[1, 2]``).
        Keys stay as they are. Raises ExpressionError.
        """
        if not self.is_template(value):
            return value
        with allowance() as granted:
            return self._render(value, scope, granted)

    def evaluate(self, expression: str, scope: Mapping[str, Any]) -> Json:
        """Return what a bare expression gives. Raises ExpressionError."""
        with allowance() as granted:
            return self._evaluate(expression, scope, granted, to_json)

    def _render(
        self, value: Json, scope: Mapping[str, Any], granted: Allowance
    ) -> Json:
        if isinstance(value, str):
            return self._render_text(value, scope, granted) if OPEN in value else value
        if isinstance(value, Mapping):
            return {
                key: self._render(item, scope, granted) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._render(item, scope, granted) for item in value]
        return value

    def _render_text(
        self, text: str, scope: Mapping[str, Any], granted: Allowance
    ) -> Json:
        try:
            pieces = self._split(text)
        except Unclosed as error:
            raise ExpressionError(text[error.offset :], error.message) from None
        if len(pieces) == 1:
            return self._evaluate(pieces[0].text, scope, granted, to_json)
        parts = [
            self._evaluate(piece.text, scope, granted, to_text)
            if piece.is_expression
            else piece.text
            for piece in pieces
        ]
        try:
            take_text(sum(map(len, parts)))
        except TooMuch as error:
            raise ExpressionError(text, str(error)) from None
        return "".join(parts)

    def _evaluate(
        self,
        expression: str,
        scope: Mapping[str, Any],
        granted: Allowance,
        leave: Callable[[Any], Json],
    ) -> Json:
        try:
            compiled = self._compiled(expression)
            if not compiled.costly:
                return leave(self._run(compiled, scope))
            return within_time(granted, lambda: leave(self._run(compiled, scope)))
        except VmsuiteError:
            raise
        except Exception as error:
            known = (*scope, *self._sandbox.globals)
            raise _explained(expression, error, known) from error

    def _run(self, compiled: Compiled, scope: Mapping[str, Any]) -> Any:
        context = compiled.template.new_context(scope, shared=True)  # type: ignore[arg-type] # any mapping will do
        for _ in compiled.template.root_render_func(context):
            pass
        return context.vars["result"]

    # --- caches -----------------------------------------------------------------

    def _compile(self, expression: str) -> Compiled:
        return compile_expression(self._sandbox, expression)

    def _parse_trouble(self, expression: str) -> str | None:
        try:
            parse(self._sandbox, expression)
        except SyntaxTrouble as error:
            return str(error)
        return None

    def _trouble_in(self, expression: str) -> str | None:
        shape = shape_of(expression)
        if self._trouble_of_shape(shape) is None or shape == expression:
            return self._trouble_of_shape(shape)
        return self._trouble_of_shape(expression)

    def _names_in(self, expression: str) -> frozenset[str]:
        return self._names_of_shape(shape_of(expression))

    def _check_text(self, text: str, pointer: Pointer) -> Iterator[Trouble]:
        try:
            pieces = self._split(text)
        except Unclosed as error:
            hint = "a literal '{{' is written {{ '{{' }}"
            place = _place(error.offset, text)
            yield Trouble(pointer, f"template{place}: {error.message} ({hint})")
            return
        for piece in pieces:
            if piece.is_expression and (wrong := self._trouble_in(piece.text)):
                place = _place(piece.offset - len(OPEN), text)
                yield Trouble(pointer, f"template{place}: {wrong}")

    def _names_in_text(self, text: str) -> frozenset[str]:
        try:
            pieces = self._split(text)
        except Unclosed:
            return frozenset()
        return frozenset().union(*map(self._names_of_piece, pieces))

    def _names_of_piece(self, piece: Piece) -> frozenset[str]:
        return self._names_in(piece.text) if piece.is_expression else frozenset()


def _place(offset: int, text: str) -> str:
    """Return where in its text a template begins, if that is not the beginning."""
    if not offset:
        return ""
    line = text.count("\n", 0, offset)
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return (
        f" at line {line + 1}, character {column}"
        if line
        else f" at character {column}"
    )


_SAY_IT_ALL = (TooMuch, Refused, TypeError, ValueError, ArithmeticError)
"""Errors whose message needs no name before it."""


def _explained(
    expression: str, error: Exception, known: tuple[str, ...]
) -> ExpressionError:
    if isinstance(error, NotDefined):
        message, hint = error.explained(known)
        return ExpressionError(expression, message, hint=hint)
    if isinstance(error, SyntaxTrouble):
        return ExpressionError(expression, error.message, hint=error.hint)
    if isinstance(error, RecursionError | MemoryError):
        return ExpressionError(expression, "it is nested too deeply, or too large")
    if isinstance(error, _SAY_IT_ALL):
        return ExpressionError(expression, str(error))
    return ExpressionError(expression, f"{type(error).__name__}: {error}")
