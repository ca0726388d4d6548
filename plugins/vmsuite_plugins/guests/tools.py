"""Runs the host's tools that build guests; what they say comes back as one error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from vmsuite.errors import PlatformError

_LIMIT = 900.0
"""Seconds that one call of a tool may take: a slow line downloads 80 MB."""


def run_tool(command: Sequence[str], cwd: Path | None = None) -> str:
    """Run a tool and return what it printed; its errors come as PlatformError."""
    try:
        done = subprocess.run(
            command,
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
