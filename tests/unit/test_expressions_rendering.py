"""What templates and expressions give."""

from __future__ import annotations

from collections import ChainMap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmsuite.errors import CheckFailed, PlatformError
from vmsuite.expressions import ExpressionError, Templates

KERNEL = {"stdout": "6.1.0\n", "exit_code": 0, "items": ["own"]}
SCOPE: dict[str, Any] = {"kernel": KERNEL, "n": 5, "name": "it's", "empty": None}


def double(value: int) -> int:
    return 2 * value


TEMPLATES = Templates({"double": double})


def failure(expression: str, scope: dict[str, Any] | None = None) -> str:
    with pytest.raises(ExpressionError) as caught:
        TEMPLATES.evaluate(expression, SCOPE if scope is None else scope)
    return str(caught.value)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("n", 5),
        ("n * 2 + 1", 11),
        ("kernel.stdout", "6.1.0\n"),
        ("kernel['stdout']|trim", "6.1.0"),
        ("kernel.exit_code == 0 and n > 4", True),
        ("kernel.stdout is match('6[.]')", True),
        ("kernel.stdout is match('1[.]')", False),
        ("kernel.stdout is search('1[.]')", True),
        ("kernel.stdout is not search('PANIC')", True),
        ("'Error' is search('error', ignorecase=true)", True),
        ("'6.1' is fullmatch('6')", False),
        ("n is match('5')", True),
        ("'abc' is contains('b')", True),
        ("[1, 2] is contains(3)", False),
        ("'b' in 'abc'", True),
        ("missing is defined", False),
        ("missing|default('x')", "x"),
        ("kernel.missing|default(7)", 7),
        ("n if missing is defined else 1", 1),
        ("true or missing", True),
        ("double(n)", 10),
        ("range(3)", [0, 1, 2]),
        ("{'a': {'b': n}}", {"a": {"b": 5}}),
        ("'a' ~ n ~ true ~ none ~ [1]", "a5truenull[1]"),
        ("'%s-%03d' % ('x', n)", "x-005"),
        ("'%(a)s' % {'a': 1}", "1"),
        ("'%d%%'|format(50)", "50%"),
        ("kernel.stdout|lines", ["6.1.0"]),
        ("'a\\r\\nb\\n'|lines", ["a", "b"]),
        ("''|lines", []),
        ("'{\"a\": [1]}'|from_json", {"a": [1]}),
        ("kernel|to_json|from_json == kernel", True),
        ("{'a': 1}|to_json(indent=2)", '{\n  "a": 1\n}'),
        ("'grün'|b64encode|b64decode", "grün"),
        ("name|quote", "'it'\"'\"'s'"),
        ("'a b'|urlencode", "a%20b"),
        ("{'q': 'a&b'}|urlencode", "q=a%26b"),
        (r"'x=12'|regex_replace('x=(\\d+)', '<\\1>')", "<12>"),
        (r"'k=v'|regex_replace('(?P<key>k)', '\\g<key>\\g<key>')", "kk=v"),
        ("'aaa'|regex_replace('a', 'b', 2)", "bba"),
        (r"'x=12'|regex_search('\\d+')", "12"),
        (r"'x=12'|regex_search('(\\w)=(\\d+)', 2)", "12"),
        ("'x'|regex_search('y')", None),
        (r"'a1b2'|regex_findall('\\d')", ["1", "2"]),
        (r"'a1b2'|regex_findall('(\\w)(\\d)')", [["a", "1"], ["b", "2"]]),
        ("'a.b'|regex_escape", "a\\.b"),
        ("[3, 1]|sort", [1, 3]),
        ("[1, 2]|map('string')|join('-')", "1-2"),
        ("[{'a': 1}, {'a': 2}]|map(attribute='a')|sum", 3),
        ("[{'a': 1}, {'a': 2}]|selectattr('a', 'eq', 2)|list", [{"a": 2}]),
        ("[1, 2, 3]|batch(2)", [[1, 2], [3]]),
        ("[1, 2, 3]|slice(2)", [[1, 2], [3]]),
        ("2.567|round(1)", 2.6),
        ("2.1|round(method='ceil')", 3.0),
        ("'abc'.upper().center(5, '-')", "-ABC-"),
        ("'a,b'.split(',')", ["a", "b"]),
        ("'a b  c'|split", ["a", "b", "c"]),
        ("'/'.join(['a', 'b'])", "a/b"),
        ("'a\\nb'|indent(2)", "a\n  b"),
        ("'abcdef'|truncate(4)", "abc…"),
        ("kernel.keys()", ["stdout", "exit_code", "items"]),
        ("kernel.get('nothing', 1)", 1),
        ("'abc'[1:]", "bc"),
        ("[1, 2, 3][::-1]", [3, 2, 1]),
        ("empty is none", True),
        ("(1, 2)", [1, 2]),
        ("7 // 2", 3),
        ("-n", -5),
    ],
)
def test_an_expression_gives(expression: str, expected: object) -> None:
    assert TEMPLATES.evaluate(expression, SCOPE) == expected
    assert TEMPLATES.check_expression(expression) is None


@pytest.mark.parametrize("key", ["items", "keys", "get", "values", "stdout", "upper"])
def test_a_key_of_a_guest_hides_a_method(key: str) -> None:
    assert TEMPLATES.evaluate(f"d.{key}", {"d": {key: "own"}}) == "own"
    assert TEMPLATES.evaluate(f"d['{key}']", {"d": {key: "own"}}) == "own"


def test_a_method_is_never_an_item() -> None:
    assert "there is no 'keys' in it" in failure("kernel['keys']")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{{ n }}", 5),
        ("{{n}}", 5),
        (" {{ n }}", " 5"),
        ("{{ n }}\n", "5\n"),
        ("{{ n }}{{ n }}", "55"),
        ("{{ kernel.exit_code == 0 }}", True),
        ("a {{ true }} {{ none }} {{ [1, 'x'] }}", 'a true null [1, "x"]'),
        ("plain", "plain"),
        ("{% if x %} {# no #} ${n} }} {", "{% if x %} {# no #} ${n} }} {"),
        ("{{ '{{' }}", "{{"),
        ("{{ '}}' }}", "}}"),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("{{ {'a': {'b': 1}}}}", {"a": {"b": 1}}),
        ('{{ "a\\"}}" }}', 'a"}}'),
        ("{{ [1, 2][0] }}{{ (n) }}", "15"),
        (["{{ n }}", {"k": "x{{ n }}", "{{ n }}": 1}], [5, {"k": "x5", "{{ n }}": 1}]),
        (3, 3),
        (None, None),
    ],
)
def test_a_value_is_rendered(written: object, expected: object) -> None:
    assert TEMPLATES.render(written, SCOPE) == expected


def test_a_value_that_is_one_expression_keeps_its_type() -> None:
    rendered = TEMPLATES.render("{{ kernel }}", SCOPE)
    assert rendered == KERNEL
    assert rendered is not KERNEL


def test_what_a_guest_sent_is_not_rendered() -> None:
    hostile = {"kernel": {"stdout": "{{ 1 + 1 }} {{ env }}"}}
    assert TEMPLATES.render("{{ kernel.stdout }}!", hostile) == "{{ 1 + 1 }} {{ env }}!"
    assert TEMPLATES.evaluate("kernel.stdout ~ '{{ n }}'", hostile).endswith("{{ n }}")


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("{}%#$' \n\\ab"), max_size=30))
def test_text_from_outside_comes_through_unchanged(text: str) -> None:
    assert TEMPLATES.render("{{ x }}", {"x": text}) == text
    assert TEMPLATES.render("<{{ x }}>", {"x": text}) == f"<{text}>"


@settings(deadline=None)
@given(st.text(max_size=40).filter(lambda text: "{{" not in text))
def test_plain_text_means_itself(text: str) -> None:
    assert not TEMPLATES.is_template(text)
    assert TEMPLATES.render(text, {}) == text
    assert list(TEMPLATES.check(text)) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(JSON)
def test_every_value_passes_through_an_expression(value: Any) -> None:
    assert TEMPLATES.render("{{ x }}", {"x": value}) == value


def test_a_scope_may_be_any_mapping_and_hold_views() -> None:
    class View:
        name = "vm"
        _hidden = 1

        def forward(self, port: int) -> int:
            return port + 40000

    scope: ChainMap[str, Any] = ChainMap({"n": 1}, {"machine": View(), "n": 2})
    assert TEMPLATES.render("{{ machine.forward(7) }}", scope) == 40007
    assert TEMPLATES.render("{{ machine.name }}{{ n }}", scope) == "vm1"
    with pytest.raises(ExpressionError, match="_hidden"):
        TEMPLATES.render("{{ machine._hidden }}", scope)
    with pytest.raises(ExpressionError, match="is no data"):
        TEMPLATES.render("{{ machine }}", scope)


def test_a_name_in_scope_comes_before_a_function() -> None:
    assert TEMPLATES.evaluate("double", {"double": 3}) == 3
    assert TEMPLATES.evaluate("result", {"result": 4}) == 4


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("kernal.stdout", "'kernal' is not defined (did you mean 'kernel'?)"),
        ("kernel.stdot", "there is no 'stdot' in it (did you mean 'stdout'?)"),
        ("kernel.zzz", "there is stdout, exit_code, items"),
        ("[1][5]", "there is no item 5 among 1"),
        ("n.foo", "a number has no 'foo'"),
        ("missing == 1", "'missing' is not defined"),
        ("not missing", "'missing' is not defined"),
        ("missing is none", "'missing' is not defined"),
        ("missing in []", "'missing' is not defined"),
        ("1 in missing", "'missing' is not defined"),
        ("[missing]|length", "'missing' is not defined"),
        ("{'a': missing}|length", "'missing' is not defined"),
        ("missing|upper", "'missing' is not defined"),
        ("'x' ~ missing", "'missing' is not defined"),
        ("n + missing", "'missing' is not defined"),
        ("double(missing)", "'missing' is not defined"),
        ("missing()", "'missing' is not defined"),
        ("missing.x|default(1)", "'missing' is not defined"),
        ("'a' if missing else 'b'", "'missing' is not defined"),
        ("1 if false", "it has no 'else'"),
        ("[]|first", "sequence was empty"),
        ("1 / 0", "division by zero"),
        ("'x' < 1", "not supported between"),
        ("kernel.keys", "its call needs '()'"),
        ("double", "its call needs '()'"),
        ("(-1) ** 0.5", "is no data"),
        ("1e308 * 10", "a number that JSON cannot hold"),
        ("empty is match('x')", "it needs text, but this is null"),
        ("'['|from_json", "the text is not JSON"),
        ("'NaN'|from_json", "NaN"),
        ("'x'|b64decode", "is not base64"),
        ("'x' is match(n)", "must be text"),
        ("'a' is match(p)", "this is no regular expression"),
        ("'a'|regex_search('(a)', 2)", "no group 2"),
        (r"'a'|regex_replace('a', '\\3')", "no group 3"),
    ],
)
def test_what_goes_wrong_is_said(expression: str, message: str) -> None:
    shown = failure(expression, {**SCOPE, "p": "["})
    assert message in shown
    assert expression in shown


def test_an_expression_error_is_the_suites_fault_not_the_subjects() -> None:
    assert issubclass(ExpressionError, PlatformError)
    assert not issubclass(ExpressionError, CheckFailed)


def test_an_error_of_a_function_that_vmsuite_raises_comes_through() -> None:
    def forward(port: int) -> int:
        raise CheckFailed(f"no port {port}")

    templates = Templates({"forward": forward})
    with pytest.raises(CheckFailed, match="no port 7"):
        templates.evaluate("forward(7)", {})


def test_a_broken_template_fails_in_rendering_too() -> None:
    with pytest.raises(ExpressionError, match="never closed"):
        TEMPLATES.render("a {{ n", SCOPE)
    with pytest.raises(ExpressionError, match="unexpected 'b'"):
        TEMPLATES.render("{{ a b }}", SCOPE)
