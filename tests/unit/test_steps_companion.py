"""What a companion step asks the engine to start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import PlatformError
from vmsuite.model import NOWHERE, CompanionSpec, Ready
from vmsuite.testing.context import FakeContext, perform
from vmsuite_plugins.steps.companion import Companion

VARIABLES = (
    "STARRY_HOST_COMPANION",
    "STARRY_COMPANION_DELAY",
    "STARRY_COMPANION_TIMEOUT",
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def started(
    folder: Path, fields: dict[str, Any], **environment: str
) -> tuple[CompanionSpec, bool]:
    context = FakeContext(folder=folder, environment=environment)
    asyncio.run(perform(Companion, context, fields))
    (companion,) = context.companions
    return companion


def test_everything_said_is_asked_for(tmp_path: Path) -> None:
    spec, wait = started(
        tmp_path,
        {
            "program": "tcp-echo",
            "args": ["--port", 4711, "--rate", 1.5],
            "env": {"A": 1},
            "cwd": "sub",
            "delay": "1s",
            "timeout": "2m",
            "role": "task",
            "ready": {"log": "listening", "timeout": "500ms"},
            "wait": True,
            "name": "echo",
        },
    )
    assert wait
    assert spec == CompanionSpec(
        location=NOWHERE,
        program="tcp-echo",
        args=("--port", "4711", "--rate", "1.5"),
        env={"A": "1"},
        cwd="sub",
        delay=1.0,
        timeout=120.0,
        role="task",
        ready=Ready(log="listening", timeout=0.5),
        name="echo",
    )


def test_what_is_not_said_is_left_to_the_companions_own_file(tmp_path: Path) -> None:
    spec, wait = started(tmp_path, {"program": "x"})
    assert (spec.delay, spec.timeout, spec.role, spec.ready) == (None,) * 4
    assert not wait


def test_the_environment_names_one_with_its_own_defaults(tmp_path: Path) -> None:
    spec, _ = started(tmp_path, {}, STARRY_HOST_COMPANION="/bin/peer")
    assert (spec.program, spec.delay, spec.timeout) == ("/bin/peer", 2.0, 30.0)


def test_the_environment_sets_delay_and_timeout_and_the_step_goes_before(
    tmp_path: Path,
) -> None:
    environment = {
        "STARRY_HOST_COMPANION": "/bin/peer",
        "STARRY_COMPANION_DELAY": "3",
        "STARRY_COMPANION_TIMEOUT": "45",
    }
    spec, _ = started(tmp_path, {}, **environment)
    assert (spec.delay, spec.timeout) == (3.0, 45.0)
    spec, _ = started(tmp_path, {"delay": 0, "timeout": "1s"}, **environment)
    assert (spec.delay, spec.timeout) == (0.0, 1.0)
    spec, _ = started(tmp_path, {"program": "named"}, **environment)
    assert (spec.program, spec.delay, spec.timeout) == ("named", None, None)


def test_the_hosts_environment_counts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARRY_HOST_COMPANION", "/bin/host-peer")
    assert started(tmp_path, {})[0].program == "/bin/host-peer"


def test_without_any_program_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="STARRY_HOST_COMPANION is not set"):
        started(tmp_path, {})


def test_a_bad_number_in_the_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="STARRY_COMPANION_DELAY: 'soon'"):
        started(tmp_path, {}, STARRY_HOST_COMPANION="x", STARRY_COMPANION_DELAY="soon")


def test_a_port_from_a_template_is_an_argument(tmp_path: Path) -> None:
    context = FakeContext(folder=tmp_path, values={"port": 40123})
    fields = {"program": "x", "args": ["{{ port }}"]}
    asyncio.run(perform(Companion, context, fields))
    assert context.companions[0][0].args == ("40123",)


@pytest.mark.parametrize(
    ("fields", "trouble"),
    [
        ({"ready": {}}, "ready: give exactly one of 'log', 'port' and 'file'"),
        ({"ready": {"log": "a", "port": 1}}, "got 'log' and 'port'"),
        ({"role": "service", "wait": True}, "'wait' would never end"),
    ],
)
def test_planning_finds_what_never_comes(fields: dict[str, Any], trouble: str) -> None:
    (found,) = Companion.troubles({"program": "x"} | fields, None)
    assert trouble in found


def test_planning_lets_a_service_with_a_port_pass() -> None:
    fields = {"program": "x", "role": "service", "ready": {"port": 80}}
    assert list(Companion.troubles(fields, None)) == []
