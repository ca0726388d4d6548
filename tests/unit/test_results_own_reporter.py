"""The reporter that the reporters' README shows works as it stands there."""

from __future__ import annotations

import re
import types
from pathlib import Path

import vmsuite_plugins.reporters
from vmsuite.registry import load_registry
from vmsuite.results import fold
from vmsuite.testing.runs import ToldCase, events_of_run

README = Path(vmsuite_plugins.reporters.__file__).with_name("README.md")


def test_the_readmes_reporter_reports() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    module = types.ModuleType("readme")
    exec(code, module.__dict__)  # noqa: S102 - our own documentation
    reporter = load_registry([module]).reporters["names"]
    run = fold(events_of_run([ToldCase(name="boots"), ToldCase(name="types")]))
    assert reporter.render(run, run.suites) == b"passed boots\npassed types\n"
