"""Runs the host's tools that build guests; what they say comes back as one error."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.processes import dying_with_parent

_LIMIT = 900.0
"""Seconds that one call of a tool may take: a slow line downloads 80 MB."""


def run_tool(command: Sequence[str], cwd: Path | None = None) -> str:
    """Run a tool and return what it printed; its errors come as PlatformError."""
    try:
        program = shutil.which(command[0]) or command[0]
        done = subprocess.run(
            dying_with_parent([program, *command[1:]]),
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
            check=False,
        )
    except FileNotFoundError as error:
        raise PlatformError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise PlatformError(f"{command[0]} took more than {_LIMIT:g} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise PlatformError(
            f"{command[0]} ended with {done.returncode}: {said[-2000:]}", evidence=said
        )
    return done.stdout
