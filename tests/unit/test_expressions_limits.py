"""No expression, and nothing a guest sends to one, exhausts time or memory."""

from __future__ import annotations

import resource
import signal
import threading
import time
from collections.abc import Callable

import pytest

from vmsuite.expressions import ExpressionError, Templates

TEMPLATES = Templates({})
LONG = "x" * (4 << 20)
SCOPE = {
    "long": LONG,
    "lines": "ab\n" * 100_000,
    "braces": "[" * 100_000,
    "bomb": "[" + "[]," * 2_000_000 + "0]",
    "as_": "a" * 30 + "b",
}


def memory() -> int:
    """Return the largest resident size so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@pytest.mark.parametrize(
    "expression",
    [
        "'a' * 10**9",
        "10**9 * 'a'",
        "[0] * 10**9",
        "10**(10**10)",
        "2**16000 * 2**16000",
        "[[[[[[0]*100]*100]*100]*100]*100]*100",
        "range(10**9)|list",
        "range(10**9)",
        "range(10**6)|list * 2",
        "'%1000000000d'|format(1)",
        "'%1000000000d' % 1",
        "'%*d' % (10**9, 1)",
        "'%.1000000000f' % 1.5",
        "'%((a))1000000000d' % {'(a)': 1}",
        "('%s' * 10000) % ((long,) * 10000)",
        "'{:1000000000}'.format(1)",
        "'x'.center(10**9)",
        "'x'|center(10**9)",
        "'x'.ljust(10**9)",
        "'x'.zfill(10**9)",
        "'\\t'.expandtabs(10**9)",
        "[1]|batch(10**9, 'x')|list",
        "[1]|slice(10**9)|list",
        "long.join(long)",
        "long|list",
        "long|join(long)",
        "range(100000)|join(long)",
        "long.replace('x', 'y' * 1000)",
        "long.replace('', 'yyyyyyyyyyyyyyyyyyyyyyyy')",
        "lines|replace('\\n', long)",
        "lines|indent(10**9)",
        "lines.split('b') + lines.split('b') + lines.split('b') + lines.split('a')",
        "range(100000)|map('center', 1000000)|list",
        "long * 17",
        "[long, long, long, long]|join([long, long, long, long]|join)",
        "long ~ long.upper() ~ long.lower() ~ long ~ long.title() ~ long * 12",
        "long|regex_replace('', 'yyyyyyyyyyyyyyyyyyyyyyy')",
        "as_ is match('(a+)+$')",
        "as_ is search('(a|a)*c')",
        "(as_ * 100) is search('(a+)+$')",
        "long is search('(x|y)*z')",
        "long is search('x*y')",
        "long is search('.*y')",
        "long|regex_findall('x*y')",
        "long|regex_replace('(x+)+y', '')",
        "braces|from_json",
        "bomb|from_json",
        "range(300000)|map('string')|map('upper')|map('lower')|map('trim')|list|sort",
        "lines|lines|unique|list|map('regex_search', '(a+)+$')|list * 10**6",
        "[1, 2]|sum(start='x' * 10)",
    ],
)
def test_an_expression_that_asks_for_too_much_ends(expression: str) -> None:
    before, began = memory(), time.perf_counter()
    with pytest.raises(ExpressionError):
        TEMPLATES.evaluate(expression, SCOPE)
    assert time.perf_counter() - began < 10  # about one second on an idle host
    assert memory() - before < 700


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a' * 1000", "a" * 1000),
        ("10**10", 10**10),
        ("[0] * 3", [0, 0, 0]),
        ("range(1000)|list|length", 1000),
        ("'x'.center(1000)|length", 1000),
        ("long|length", len(LONG)),
        ("long is search('z')", False),
        ("lines is search('b\\n+a')", True),
        ("lines|lines|length", 100_000),
        ("(lines[:60_000])|regex_findall('ab+')|length", 20_000),
        ("long.replace('x', 'y')|length", len(LONG)),
        ("long|b64encode|b64decode == long", True),
        ("5|round(-10**9)", 0),
    ],
)
def test_what_is_large_and_sensible_is_done(expression: str, expected: object) -> None:
    assert TEMPLATES.evaluate(expression, SCOPE) == expected


def test_a_regular_expression_run_apart_finds_the_same() -> None:
    text = "ab=12;" * 20_000  # longer than what is searched in this process
    short = "ab=12;" * 20
    for expression in (
        r"t|regex_search('(\\w+)=(\\d+);$', 2)",
        r"(t|regex_findall('(\\w+)=\\d+')|unique|list)",
        r"t|regex_replace('(a)b+', '\\1c')|length - t|length",
        r"t is match('ab=')",
        r"t is fullmatch('(ab=[0-9]+;)+')",
        r"t is search('B+', ignorecase=true)",
        r"t is search('z+')",
    ):
        apart = TEMPLATES.evaluate(expression, {"t": text})
        assert apart == TEMPLATES.evaluate(expression, {"t": short}), expression


def test_many_renderings_do_not_use_up_one_anothers_share() -> None:
    for _ in range(40):
        assert TEMPLATES.evaluate("long.upper()|length", SCOPE) == len(LONG)


def in_thread(work: Callable[[], None]) -> list[BaseException]:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    return caught


def test_outside_of_the_main_thread_patterns_end_too() -> None:
    def work() -> None:
        TEMPLATES.evaluate("as_ is match('(a+)+$')", SCOPE)

    (error,) = in_thread(work)
    assert isinstance(error, ExpressionError)


def test_outside_of_the_main_thread_expressions_work() -> None:
    def work() -> None:
        assert TEMPLATES.evaluate("'a1' is match('a[0-9]+')", {}) is True

    assert in_thread(work) == []


def test_no_timer_is_left_armed() -> None:
    TEMPLATES.evaluate("'a'|upper", {})
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    with pytest.raises(ExpressionError, match=r"longer than 0\.5 s"):
        TEMPLATES.evaluate("as_ is match('(a+)+$')", SCOPE)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_anothers_timer_and_handler_are_put_back() -> None:
    def theirs(number: int, frame: object) -> None:
        raise AssertionError("rang too early")

    before = signal.signal(signal.SIGVTALRM, theirs)
    signal.setitimer(signal.ITIMER_VIRTUAL, 500, 7)
    try:
        with pytest.raises(ExpressionError):
            TEMPLATES.evaluate("as_ is match('(a+)+$')", SCOPE)
        left, interval = signal.getitimer(signal.ITIMER_VIRTUAL)
        assert 490 < left < 499.6
        assert interval == pytest.approx(7)
        assert signal.getsignal(signal.SIGVTALRM) is theirs
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_a_function_may_evaluate_again() -> None:
    inner = Templates({})
    outer = Templates({"again": lambda text: inner.evaluate(text, {"y": 2})})
    assert outer.evaluate("again('y|string|upper') ~ '!'", {}) == "2!"


def test_a_trivial_template_is_cheap() -> None:
    TEMPLATES.render("{{ x }}", {"x": 1})
    best = min(timed(1000) for _ in range(5))
    assert best / 1000 < 50e-6


def timed(times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        TEMPLATES.render("{{ x }}", {"x": 1})
    return time.perf_counter() - began
