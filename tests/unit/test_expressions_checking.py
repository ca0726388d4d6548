"""What is found in templates without running them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmsuite.expressions import ExpressionError, Templates, Trouble
from vmsuite.expressions.parsing import SyntaxTrouble, names_in, parse, shape_of
from vmsuite.expressions.sandbox import Sandbox

TEMPLATES = Templates({"double": lambda value: 2 * value})


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("a b", "unexpected 'b'"),
        ("", "the expression is empty"),
        ("  ", "the expression is empty"),
        ("(a", "unexpected end of the expression, expected ')'"),
        ("a && b", "write 'and' for '&&'"),
        ("a || b", "write 'or' for '||'"),
        ("!a", "write 'not' for '!'"),
        ("a|uper", "there is no filter 'uper' (did you mean 'upper'?)"),
        ("a is mach('x')", "there is no test 'mach' (did you mean 'match'?)"),
        ("a|attr('x')", "there is no filter 'attr'"),
        ("a|_concat", "there is no filter '_concat'"),
        ("a|random", "there is no filter 'random'"),
        ("a is match('6[.')", "this is no regular expression"),
        ("a|regex_replace('(', '')", "this is no regular expression"),
        ("{{ a }}", "written without '{{' and '}}' here"),
        ("self", "cannot be used"),
        ("1e999", "too large"),
        ("9" * 5000, "digits"),
        ("(" * 3000 + "a" + ")" * 3000, "nested too deeply"),
        ("+".join("a" * 200), "nested too deeply"),
        ("a" * 20000, "at most 10,000 characters"),
        ("'abc", "unexpected char"),
        ("a if", "unexpected 'end of the expression'"),
    ],
)
def test_a_wrong_expression_is_found(expression: str, message: str) -> None:
    assert message in str(TEMPLATES.check_expression(expression))
    with pytest.raises(ExpressionError):
        TEMPLATES.evaluate(expression, {"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ a", "template: '{{' is never closed by '}}'"),
        ("x {{ 'a }}", "template at character 3: the text after ' never ends"),
        ("{{ (a }}", "template: '(' is not closed before '}'"),
        ("ok {{ a }} {{ b c }}", "template at character 12: unexpected 'c'"),
        ("one\ntwo {{ b c }}", "template at line 2, character 5: unexpected 'c'"),
        ("{{ }}", "template: the expression is empty"),
    ],
)
def test_a_wrong_template_is_found_with_its_place(text: str, message: str) -> None:
    (trouble,) = TEMPLATES.check({"steps": [{"text": text}]}, ("cases", 0))
    assert trouble.pointer == ("cases", 0, "steps", 0, "text")
    assert trouble.message.startswith(message)


def test_all_troubles_of_a_value_are_found() -> None:
    wrong = {"a": "{{ x", "b": ["{{ y|foo }}", "fine {{ z }}"], "c": "{{ ! }} {{ + }}"}
    assert [trouble.pointer for trouble in TEMPLATES.check(wrong)] == [
        ("a",),
        ("b", 0),
        ("c",),
        ("c",),
    ]


def test_sound_values_have_no_trouble() -> None:
    assert list(TEMPLATES.check({"a": "{{ x|default(1) }}", "b": [1, None]})) == []
    assert TEMPLATES.check_expression("x is defined") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{ a }}", True),
        ("x{{a}}y", True),
        ({"k": ["{{ a }}"]}, True),
        ("{{ a", True),
        ("{ { a } }", False),
        ("${a} {% a %} {# a #}", False),
        ({"{{ a }}": 1}, False),
        ([1, None, 2.5], False),
    ],
)
def test_a_template_is_known(value: object, expected: object) -> None:
    assert TEMPLATES.is_template(value) is expected


def test_names_are_roots_without_functions() -> None:
    value = {"a": "{{ kernel.x + double(y) }}", "b": ["{{ range(n) }}", "plain"]}
    assert TEMPLATES.names(value) == {"kernel", "y", "n"}
    assert TEMPLATES.names_in_expression("a.b[c] is match(d)") == {"a", "c", "d"}


def test_names_that_may_be_missing_are_not_needed() -> None:
    assert TEMPLATES.names("{{ a|default(b) }}") == {"b"}
    assert TEMPLATES.names_in_expression("a is defined and a.b") == frozenset()
    assert TEMPLATES.names_in_expression("a is not defined or c") == {"c"}


def test_what_cannot_be_parsed_names_nothing() -> None:
    assert TEMPLATES.names("{{ a") == frozenset()
    assert TEMPLATES.names("{{ a b }}") == frozenset()


@settings(deadline=None)
@given(st.text(alphabet="ab'\"{}()[].|~+ is1", max_size=25))
def test_what_is_checked_sound_can_be_compiled(expression: str) -> None:
    """Whatever fails then fails with an error of its own, never with a traceback."""
    wrong = TEMPLATES.check_expression(expression)
    try:
        TEMPLATES.evaluate(expression, {"a": 1, "b": "x"})
    except ExpressionError as error:
        assert str(error)  # noqa: PT017 - whether it is raised is not the point
    else:
        assert wrong is None


@settings(deadline=None)
@given(st.text(alphabet="a'\"{}([ ", max_size=20))
def test_a_text_is_checked_and_rendered_alike(text: str) -> None:
    troubles = list(TEMPLATES.check(text))
    try:
        TEMPLATES.render(text, {"a": 1})
    except ExpressionError:
        return
    assert troubles == []


def test_a_trouble_is_a_plain_value() -> None:
    assert Trouble(("a",), "m") == Trouble(("a",), "m")


@pytest.mark.parametrize(
    ("expression", "shape"),
    [
        ("a == 'x12' and b == 3", "a == '' and b == 0"),
        ("a is match('x')", "a is match('x')"),
        (r"a == 'x\n'", r"a == 'x\n'"),
        ("a1.b2 + 1.5 + 1e5 + x.0", "a1.b2 + 1.5 + 1e5 + x.0"),
        ("""'"' ~ "'" """, "'' ~ '' "),
    ],
)
def test_expressions_that_differ_in_literals_share_a_shape(
    expression: str, shape: str
) -> None:
    assert shape_of(expression) == shape


@settings(deadline=None)
@given(st.text(alphabet="ab01.'\"[]()|+~ _x", max_size=20))
def test_the_shape_is_as_sound_and_needs_the_same_names(expression: str) -> None:
    sandbox = Sandbox({})

    def sound(source: str) -> bool:
        try:
            parse(sandbox, source)
        except SyntaxTrouble:
            return False
        return True

    shape = shape_of(expression)
    assert sound(shape) == sound(expression)
    assert names_in(sandbox, shape) == names_in(sandbox, expression)


def test_the_message_shows_the_literals_as_written() -> None:
    assert TEMPLATES.check_expression("a 'x12'") == "unexpected 'x12'"
