"""What all tests share: the built-in plugins beside the fake driver, and a lab."""

from pathlib import Path

import pytest
from hypothesis import settings

import vmsuite.testing.fake
import vmsuite_plugins.dialects.atp
import vmsuite_plugins.reporters
import vmsuite_plugins.steps
from vmsuite.registry import Registry, load_registry
from vmsuite.testing.command_line import CommandLine
from vmsuite.testing.lab import Lab

# A deadline measures the host, and hosts are busy.
settings.register_profile("any-host", deadline=None)
settings.load_profile("any-host")


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_registry(
        [
            vmsuite_plugins.steps,
            vmsuite_plugins.reporters,
            vmsuite_plugins.dialects.atp,
            vmsuite.testing.fake,
        ]
    )


@pytest.fixture(autouse=True)
def state_dir(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Keep records of tests apart: no run but the test's own sweeps its leftovers."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("VMSUITE_STATE", str(state))
    return state


@pytest.fixture
def lab(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name in ("CASES", "ARCH"):
        monkeypatch.delenv(name, raising=False)
    return Lab(folder=tmp_path, registry=registry)


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)
