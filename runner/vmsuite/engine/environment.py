"""The environment of every process a case starts: what Starry's suites expect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def case_environment(  # noqa: PLR0913 - each becomes one variable
    *,
    workspace: Path,
    run_id: str,
    run_dir: Path,
    name: str,
    slug: str,
    log_path: Path,
    artifact_dir: Path,
    timeout: float,
    arch: str,
    owner: Mapping[str, str],
) -> dict[str, str]:
    """Return the variables that come on top of the inherited environment."""
    return {
        **owner,
        "STARRY_WORKSPACE_ROOT": str(workspace),
        "STARRY_RUN_ID": run_id,
        "STARRY_RUN_DIR": str(run_dir),
        "STARRY_CASE_NAME": name,
        "STARRY_CASE_SLUG": slug,
        "STARRY_CASE_LOG_PATH": str(log_path),
        "STARRY_CASE_LOG_DIR": str(log_path.parent),
        "STARRY_CASE_ARTIFACT_DIR": str(artifact_dir),
        "STARRY_CASE_TIMEOUT_SECS": str(_whole(timeout)),
        "ARCH": arch,
    }


def _whole(seconds: float) -> int:
    """Return what a script can read: at least 1, and what 32 bits hold."""
    return round(max(1.0, min(seconds, 2.0**31 - 1)))
