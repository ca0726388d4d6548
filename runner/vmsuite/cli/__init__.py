"""The command line: arguments in, exit code out; everything else lives elsewhere."""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Sequence
from importlib import import_module

from vmsuite.cli import streams
from vmsuite.cli.arguments import COMMANDS, command_parser, run_parser
from vmsuite.cli.streams import tell
from vmsuite.errors import InvalidSuite, UsageError, VmsuiteError

USAGE_ERROR = 2
BROKEN = 3
INTERRUPTED = 130

_OF_THE_HOST = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``run-suite``; returns the exit code, never a traceback for bad input."""
    streams.secure()
    return streams.finish(_code(list(sys.argv[1:] if argv is None else argv)))


def _code(arguments: list[str]) -> int:
    try:
        return _dispatch(arguments)
    except InvalidSuite as error:
        for finding in error.findings:
            tell(finding)
        return USAGE_ERROR
    except VmsuiteError as error:
        tell(f"run-suite: {error}")
        return USAGE_ERROR if isinstance(error, UsageError) else BROKEN
    except KeyboardInterrupt:
        tell("run-suite: interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no failed test
        return _broken(error)


def _broken(error: Exception) -> int:
    """Say why nothing could go on; a traceback only where words cannot say it."""
    if isinstance(error, MemoryError):
        tell("run-suite: out of memory")
    elif isinstance(error, OSError) and error.filename is not None:
        tell(f"run-suite: {error.filename}: {error.strerror}")
    elif isinstance(error, OSError) and error.errno in _OF_THE_HOST:
        tell(f"run-suite: this host lets it go no further: {error.strerror}")
    else:
        import traceback  # noqa: PLC0415 - only a fault pays for it

        tell("".join(traceback.format_exception(error)).rstrip())
        tell("run-suite: this is a fault of run-suite or a plugin, not of a suite")
    return BROKEN


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        name, rest = arguments[0], arguments[1:]
        options, module = command_parser(name).parse_args(rest), COMMANDS[name].module
    else:
        options, module = run_parser().parse_intermixed_args(arguments), "run"
    # Each command imports what it needs when it is called: --help must be quick.
    # What is imported stays, so that looking for garbage meanwhile is time lost.
    gc.disable()
    command = import_module(f"vmsuite.cli.{module}")
    gc.freeze()
    gc.enable()
    return int(command.run(options))
