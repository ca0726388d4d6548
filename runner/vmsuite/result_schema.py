"""The JSON Schema of ``results.json``: what programs may rely on finding there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmsuite.model import Outcome

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_OUTCOME: Schema = {"$ref": "#/$defs/outcome"}


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _maybe(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _table(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _record(
    properties: Mapping[str, Schema], *, optional: frozenset[str] = frozenset()
) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


_PLACE: Schema = {
    "description": "where in which file; null where there is no file",
    "anyOf": [
        _record({"file": _TEXT, "line": _COUNT, "column": _COUNT}),
        {"type": "null"},
    ],
}

_WHY: dict[str, Schema] = {
    "message": _said(_TEXT, "why it did not pass"),
    "hint": _said(_TEXT, "what to do about it"),
    "evidence": _said(_TEXT, "what was seen, e.g. the end of a console"),
    "cause": _said(_TEXT, "one word more than the outcome, e.g. crash"),
    "location": _PLACE,
}

_STEP = _record(
    {
        "index": _said(_TEXT, "place in the case: 3, 3.1 in a block, cleanup.1"),
        "title": _TEXT,
        "type": _TEXT,
        "outcome": _OUTCOME,
        "started_ms": _said(_COUNT, "since the run began"),
        "duration_ms": _COUNT,
        **_WHY,
        "attempt": _said(_COUNT, "the attempt of the step that counts"),
    }
)

_ATTEMPT = _record(
    {
        "number": _COUNT,
        "outcome": _OUTCOME,
        "duration_ms": _COUNT,
        **_WHY,
        "steps": _list_of(_STEP),
    }
)

_ATTACHMENT = _record(
    {
        "path": _said(_TEXT, "relative to run_dir"),
        "kind": _said(_TEXT, "screenshot, console, log or file"),
        "title": _TEXT,
    }
)

_CASE = _record(
    {
        "name": _TEXT,
        "status": _said(_OUTCOME, "how the case ended"),
        "duration_ms": _said(_COUNT, "from the moment it asked for its machines"),
        "exit_code": _said(_maybe({"type": "integer"}), "of a script case"),
        "allow_failure": _FLAG,
        "log_path": _TEXT,
        "outcome": _OUTCOME,
        "slug": _said(_TEXT, "its name as CASES and files take it"),
        "test_metrics": _said({}, "what the case left in its own results.json"),
        "error_summary": _said(_TEXT, "the message on one line"),
        "description": _maybe(_TEXT),
        "tags": _list_of(_TEXT),
        "started_ms": _said(_COUNT, "since the run began"),
        **_WHY,
        "flaky": _said(_FLAG, "passed, but not at the first attempt"),
        "facts": _said(_table(_TEXT), "machine, guest and tool versions"),
        "attachments": _list_of(_ATTACHMENT),
        "artifact_dir": _TEXT,
        "attempts": _list_of(_ATTEMPT),
    },
    optional=frozenset({"test_metrics", "error_summary"}),
)

_SUITE = _record(
    {
        "suite": _said(_TEXT, "the suite's name"),
        "action": _said({"const": "run"}, "always run"),
        "description": _maybe(_TEXT),
        "arch": _maybe(_TEXT),
        "started_at": _said(_TEXT, "ISO 8601"),
        "finished_at": _said(_maybe(_TEXT), "null if the run was killed"),
        "total": _COUNT,
        "passed": _said(_COUNT, "cases that did no harm, skipped ones included"),
        "failed": _COUNT,
        "soft_failed": _said(_COUNT, "cases that failed and were allowed to"),
        "log_file": _TEXT,
        "error_log": _said(_maybe(_TEXT), "null if nothing failed"),
        "case_logs_root": _TEXT,
        "artifacts_root": _TEXT,
        "outcome": _said(_OUTCOME, "error if its build script failed"),
        "message": _said(_maybe(_TEXT), "why cases did not run at all"),
        "outcomes": _record({outcome.value: _COUNT for outcome in Outcome}),
        "flaky": _COUNT,
        "complete": _said(_FLAG, "false if the run was killed or interrupted"),
        "duration_ms": _COUNT,
        "slug": _TEXT,
        "file": _TEXT,
        "run_id": _TEXT,
        "run_dir": _TEXT,
        "journal": _TEXT,
        "junit": _TEXT,
        "exit_code": _said(_COUNT, "of the whole run"),
        "interrupted": _FLAG,
        "version": _said(_TEXT, "of run-suite"),
        "command": _list_of(_TEXT),
        "host": _table(_TEXT),
        "notices": _said(_list_of(_TEXT), "troubles of the tool itself"),
        "cases": _list_of({"$ref": "#/$defs/case"}),
    }
)

RESULT_SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "results.json of run-suite",
    "description": "One suite of one run; a file about several has them in suites.",
    "anyOf": [
        {"$ref": "#/$defs/suite"},
        _record({"suites": _list_of({"$ref": "#/$defs/suite"})}),
    ],
    "$defs": {
        "suite": _SUITE,
        "case": _CASE,
        "outcome": {"enum": [outcome.value for outcome in Outcome]},
    },
}
