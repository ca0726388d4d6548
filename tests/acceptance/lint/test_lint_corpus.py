"""Every mistake in these suites is found, once, at its place; sound ones have none.

What is expected of ``bad/NAME`` stands in ``bad/NAME.findings``, a finding a line as
``lint`` shows it, without the file's name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import vmsuite_plugins.dialects.atp
import vmsuite_plugins.drivers.qemu
import vmsuite_plugins.steps
from vmsuite import documents
from vmsuite.documents import Document
from vmsuite.findings import Severity
from vmsuite.registry import Registry, load_registry
from vmsuite.validation import MissingPlugin, Validator

HERE = Path(__file__).parent
SUITES = (".yaml", ".toml", ".json")
BAD = sorted(path for path in (HERE / "bad").iterdir() if path.suffix in SUITES)
GOOD = sorted(path for path in (HERE / "good").iterdir() if path.suffix in SUITES)


@pytest.fixture(scope="module")
def real() -> Registry:
    return load_registry(
        [
            vmsuite_plugins.steps,
            vmsuite_plugins.dialects.atp,
            vmsuite_plugins.drivers.qemu,
        ]
    )


def read(path: Path, registry: Registry) -> Document:
    document = documents.read(path, shown_as=path.name)
    for dialect in registry.dialects.values():
        if dialect.matches(document.value):
            return Document(
                file=document.file,
                path=path,
                format=document.format,
                value=dialect.translate(document.value),
            )
    return document


def by_name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", BAD, ids=by_name)
def test_every_mistake_is_found_at_its_place(path: Path, real: Registry) -> None:
    found = Validator(real).check(read(path, real))
    shown = [str(finding).removeprefix(f"{path.name}:") for finding in found]
    expected = path.with_name(f"{path.name}.findings").read_text(encoding="utf-8")
    assert shown == expected.splitlines()


@pytest.mark.parametrize("path", GOOD, ids=by_name)
def test_a_sound_suite_has_no_findings(path: Path, real: Registry) -> None:
    assert Validator(real).check(read(path, real)) == []


@pytest.mark.parametrize("path", BAD, ids=by_name)
def test_no_finding_is_long_or_tells_a_secret(path: Path, real: Registry) -> None:
    for finding in Validator(real).check(read(path, real)):
        assert len(str(finding)) < 350
        assert "hunter2" not in str(finding)
        assert "\n" not in str(finding)


def test_what_only_a_plugin_serves_is_a_warning_of_its_own(real: Registry) -> None:
    path = HERE / "bad" / "missing-plugins.yaml"
    found = Validator(real).check(read(path, real))
    missing = [finding for finding in found if isinstance(finding, MissingPlugin)]
    assert [finding.kind for finding in missing] == [
        "vdi_action: create_desk_pool",
        "virtualization_action: send_keyboard_to_all",
        "condition: all_domains_running",
        "condition: domain_status",
    ]
    assert {finding.severity for finding in missing} == {Severity.WARNING}
    others = [finding for finding in found if not isinstance(finding, MissingPlugin)]
    assert {finding.severity for finding in others} == {Severity.ERROR}


def test_every_expectation_belongs_to_a_suite() -> None:
    expected = {path.name for path in (HERE / "bad").glob("*.findings")}
    assert expected == {f"{path.name}.findings" for path in BAD}
