"""Built-in reports and live views: what a run leaves behind and shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from vmsuite.hookspecs import hookimpl
from vmsuite.ports import Listener, Reporter
from vmsuite_plugins.reporters.console import open_console
from vmsuite_plugins.reporters.junit import JUnitReporter
from vmsuite_plugins.reporters.last_run import LastRunReporter
from vmsuite_plugins.reporters.results_json import ResultsReporter


@hookimpl
def vmsuite_reporters() -> Iterable[Reporter]:
    """Return the reports that every run leaves behind."""
    return (JUnitReporter(), ResultsReporter(), LastRunReporter())


@hookimpl
def vmsuite_listeners() -> Mapping[str, Callable[..., Listener]]:
    """Return the view that the command line opens."""
    return {"console": open_console}
