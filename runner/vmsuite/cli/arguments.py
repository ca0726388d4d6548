"""All arguments of the command line; imports nothing that takes time."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vmsuite import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command beside the bare run."""

    module: str
    summary: str
    fill: Callable[[argparse.ArgumentParser], None]


def run_parser() -> argparse.ArgumentParser:
    """Return the parser of ``run-suite PATH...``."""
    width = max(len(name) for name in COMMANDS)
    commands = "\n".join(
        f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()
    )
    parser = argparse.ArgumentParser(
        prog="run-suite",
        usage="run-suite [options] PATH...\n       run-suite COMMAND --help",
        description="Run declarative test suites against real virtual machines.",
        epilog=f"commands:\n{commands}\n\n"
        "exit code: 0 all good, 1 a case failed, 2 usage or invalid suite,\n"
        "           3 only tool trouble, 130 interrupted (after cleanup)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vmsuite {__version__}")
    _paths(parser)
    _selection(parser)
    group = parser.add_argument_group("running")
    group.add_argument(
        *("--jobs", "-j"),
        metavar="N",
        help="how many cases run at once (1); or 'auto': one for each core, four where "
        "cases have machines, as long as memory holds the costliest",
    )
    group.add_argument(
        "--memory",
        metavar="SIZE",
        help="what machines may take together, e.g. 4G (what is available, less a "
        "reserve)",
    )
    group.add_argument(
        *("--fail-fast", "-x"),
        action="store_true",
        default=None,
        help="start no further case after the first failure",
    )
    _limits(group)
    group.add_argument("--dry-run", action="store_true", help="check all, run nothing")
    group.add_argument("--list", action="store_true", help="list the cases, run none")
    group = parser.add_argument_group("output")
    group.add_argument("--log-dir", metavar="DIR", help="instead of logs/")
    group.add_argument("--junit-xml", metavar="FILE", help="one file of the whole run")
    _log_level(group)
    group.add_argument(
        "--trace-qmp",
        action="store_true",
        default=None,
        help="keep every message to and from QEMU beside the console",
    )
    group.add_argument(
        "--save-on-failure",
        action="store_true",
        default=None,
        help="keep a case's machines as they are when a step fails: see debug",
    )
    group.add_argument(
        "--plain", action="store_true", help="one line per case, also on a terminal"
    )
    _output(group, "of --list")
    return parser


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    command = COMMANDS[name]
    parser = argparse.ArgumentParser(
        prog=f"run-suite {name}",
        description=command.summary[0].upper() + command.summary[1:] + ".",
    )
    command.fill(parser)
    return parser


def _paths(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        type=_path,
        metavar="PATH",
        help="a suite file, or a folder with suite.yaml, .toml or .json in or below it",
    )


def _path(written: str) -> Path:
    if not written:  # an unset variable of a script must not mean all there is here
        raise argparse.ArgumentTypeError("a path is empty")
    return Path(written)


def _selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("selecting")
    group.add_argument(
        "--cases",
        metavar="NAMES",
        help="names, slugs or globs, split at commas and spaces; also $CASES",
    )
    group.add_argument(
        "-k", dest="names", action="append", metavar="NAME", help="one name; repeat it"
    )
    group.add_argument(
        "--tags", metavar="TAGS", help="cases with one of these; !tag keeps them out"
    )
    group.add_argument(
        *("--last-failed", "--lf"),
        action="store_true",
        default=None,
        help="only cases that did not pass when their suite ran last",
    )
    group.add_argument(
        "--machine", metavar="NAME", help="what machine names mean that are not known"
    )
    group.add_argument("--config", type=Path, metavar="FILE", help="configuration file")


def _limits(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--timeout-factor", type=float, metavar="F", help="stretch every time limit"
    )
    group.add_argument(
        "--run-timeout", metavar="TIME", help="end the whole run after this time"
    )


def _log_level(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="what the program itself says on stderr (warning)",
    )


def _output(parser: argparse._ActionsContainer, what: str = "") -> None:
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "yaml"),
        default="table",
        help=f"format {what}".strip(),
    )


def _lint(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    parser.add_argument(
        "--machine", metavar="NAME", help="what machine names mean that are not known"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file"
    )
    parser.add_argument(
        "--strict", action="store_true", help="warnings count as errors"
    )
    _output(parser)


def _list(parser: argparse.ArgumentParser) -> None:
    _paths(parser)
    _selection(parser)
    _output(parser)


def _schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="print this one, e.g. steps/wait")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write all of them")
    parser.add_argument(
        "--check",
        type=Path,
        nargs="?",
        const=Path("schemas"),
        metavar="DIR",
        help="fail if DIR (schemas) differs from what is installed",
    )


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_dir", type=Path, metavar="RUN_DIR", help="logs/<suite>/<timestamp>"
    )
    parser.add_argument(
        "--junit-xml", type=Path, metavar="FILE", help="write its JUnit file here, too"
    )


def _debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_dir", type=Path, metavar="RUN_DIR", help="logs/<suite>/<timestamp>"
    )
    parser.add_argument("case", metavar="CASE", help="its name or slug")
    parser.add_argument(
        "--machine", metavar="NAME", help="which one, if several were saved"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="let the saved machine give QEMU arguments of its own",
    )


def _doctor(parser: argparse.ArgumentParser) -> None:
    _output(parser)


def _clean(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="touch nothing, say what would be removed",
    )
    _output(parser)


def _companion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("build", "list"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="these only")
    _output(parser, "of list")


def _guest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("build", "list"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="these only")
    _output(parser, "of list")


def _template(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    build = what.add_parser(
        "build",
        help="make the templates that the cases' machines need",
        description="Make the templates that the cases' machines need; run no case. "
        "Exit code: 0 each machine has its template, or is one that boots for every "
        "case; 1 making one went wrong.",
    )
    _paths(build)
    _selection(build)
    group = build.add_argument_group("running")
    _limits(group)
    _log_level(group)
    listing = what.add_parser("list", help="list what lies in the cache")
    _output(listing)
    remove = what.add_parser("rm", help="remove templates")
    remove.add_argument(
        "digests", nargs="*", metavar="DIGEST", help="its name, or how that begins"
    )
    remove.add_argument("--all", action="store_true", help="remove every one")
    collect = what.add_parser(
        "gc",
        help="remove what is damaged, old or too much",
        description="Remove damaged templates, then those that were not used for a "
        "while, then the least recently used until the rest is small enough. What a "
        "run uses stays.",
    )
    collect.add_argument(
        "--unused-for", metavar="TIME", default="7d", help="what counts as old (7d)"
    )
    collect.add_argument(
        "--max-size", metavar="SIZE", help="what all may take together, e.g. 5G"
    )
    collect.add_argument(
        "--dry-run", action="store_true", help="say what would go, remove nothing"
    )


COMMANDS = {
    "lint": Command(
        module="lint", summary="check suites without running anything", fill=_lint
    ),
    "list": Command(module="listing", summary="list cases", fill=_list),
    "schema": Command(
        module="schema", summary="print or write the JSON Schemas", fill=_schema
    ),
    "report": Command(
        module="report", summary="make a run's reports again", fill=_report
    ),
    "debug": Command(
        module="debug", summary="go on where a case failed, by hand", fill=_debug
    ),
    "doctor": Command(
        module="doctor", summary="say what this host can do", fill=_doctor
    ),
    "clean": Command(
        module="clean", summary="remove what killed runs left", fill=_clean
    ),
    "companion": Command(
        module="companion", summary="build or list host companions", fill=_companion
    ),
    "guest": Command(module="guest", summary="build or list guests", fill=_guest),
    "template": Command(
        module="template",
        summary="make, list or remove warm templates",
        fill=_template,
    ),
}
