"""The command line: arguments in, exit code out; everything else lives elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from vmsuite.cli.arguments import COMMANDS, command_parser, run_parser
from vmsuite.errors import InvalidSuite, VmsuiteError

USAGE_ERROR = 2
BROKEN = 3
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``run-suite``; returns the exit code, never a traceback for bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except InvalidSuite as error:
        for finding in error.findings:
            print(finding, file=sys.stderr)
        return USAGE_ERROR
    except VmsuiteError as error:
        print(f"run-suite: {error}", file=sys.stderr)
        return _exit_code(error)
    except KeyboardInterrupt:
        print("run-suite: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; Python must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(arguments: list[str]) -> int:
    # Each command imports what it needs when it is called: --help must be quick.
    if arguments and arguments[0] in COMMANDS:
        name, rest = arguments[0], arguments[1:]
        options = command_parser(name).parse_args(rest)
        from importlib import import_module  # noqa: PLC0415

        module = import_module(f"vmsuite.cli.{COMMANDS[name].module}")
        return int(module.run(options))
    options = run_parser().parse_intermixed_args(arguments)
    from vmsuite.cli.run import run  # noqa: PLC0415

    return run(options)


def _exit_code(error: VmsuiteError) -> int:
    from vmsuite.errors import UsageError  # noqa: PLC0415

    return USAGE_ERROR if isinstance(error, UsageError) else BROKEN
