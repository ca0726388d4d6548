"""The schema of ``results.json``: what a program finds in it."""

from __future__ import annotations

from vmsuite.model import Outcome
from vmsuite.validation.normal import Schema

_OUTCOMES = [outcome.value for outcome in Outcome]


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _text_or_null(description: str) -> Schema:
    return {"type": ["string", "null"], "description": description}


def _count(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _texts(description: str) -> Schema:
    return {
        "type": "array",
        "items": {"type": "string"},
        "description": description,
    }


def _table(description: str, values: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": values,
        "description": description,
    }


def _measurements(description: str) -> Schema:
    return {
        "type": "array",
        "items": {"$ref": "#/$defs/measurement"},
        "description": description,
    }


def _outcome(description: str) -> Schema:
    return {"enum": _OUTCOMES, "description": description}


def _object(description: str, properties: Schema, optional: tuple[str, ...]) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


_ENDING: Schema = {
    "message": _text("Why it did not pass."),
    "hint": _text("What to do about it."),
    "evidence": _text("What was seen, e.g. the end of the console."),
    "cause": _text("One word where there is one: crash."),
    "location": {
        "anyOf": [{"$ref": "#/$defs/location"}, {"type": "null"}],
        "description": "Where it is written in the suite.",
    },
}

_LOCATION = _object(
    "A place in a file; lines and columns count from 1.",
    {
        "file": _text("The file."),
        "line": _count("The line; 0 if unknown."),
        "column": _count("The column; 0 if unknown."),
    },
    (),
)

_MILLISECONDS: Schema = {"type": "number", "minimum": 0}

_MEASUREMENT = _object(
    "How long something took on a machine, as often as it was measured.",
    {
        "machine": _text("The machine."),
        "name": _text("What it was, such as input.kernel."),
        "count": {"type": "integer", "minimum": 1, "description": "How often."},
        "min_ms": {**_MILLISECONDS, "description": "The shortest."},
        "mean_ms": {**_MILLISECONDS, "description": "The mean."},
        "p50_ms": {**_MILLISECONDS, "description": "Half took no longer, ± 0.6 %."},
        "p90_ms": {**_MILLISECONDS, "description": "As p50_ms, of 90 %."},
        "p99_ms": {**_MILLISECONDS, "description": "As p50_ms, of 99 %."},
        "max_ms": {**_MILLISECONDS, "description": "The longest."},
        "histogram": {
            "type": "array",
            "minItems": 1,
            "description": "Pairs: no longer than so many ms, but than those before.",
            "items": {
                "type": "array",
                "prefixItems": [_MILLISECONDS, _count("How often.")],
                "minItems": 2,
                "maxItems": 2,
            },
        },
    },
    (),
)

_STEP = _object(
    "How one step ended.",
    {
        "index": _text("Its place in the case: 3, 3.1 in a block, cleanup.1."),
        "title": _text("Its label, else what it does."),
        "type": _text("Its type."),
        "outcome": _outcome("How it ended."),
        "started_ms": _count("When it began, since the run's start."),
        "duration_ms": _count("How long it took."),
        "attempt": {"type": "integer", "minimum": 1, "description": "Which try."},
        "measurements": _measurements("What it measured, if anything."),
        **_ENDING,
    },
    ("measurements",),
)

_ATTEMPT = _object(
    "One try of a case.",
    {
        "number": {"type": "integer", "minimum": 1, "description": "From 1 on."},
        "outcome": _outcome("How it ended."),
        "duration_ms": _count("How long it took."),
        "steps": {
            "type": "array",
            "items": {"$ref": "#/$defs/step"},
            "description": "Its steps, in order.",
        },
        **_ENDING,
    },
    (),
)

_CASE = _object(
    "How one case ended, over all its tries.",
    {
        "name": _text("Its name."),
        "slug": _text("Its name in paths; unique in the suite."),
        "status": _outcome("How it ended."),
        "outcome": _outcome("The same."),
        "duration_ms": _count("From when it asked for its machines."),
        "waited_ms": _count("How much of it went by before they began to start."),
        "started_ms": _count("When it began, since the run's start."),
        "exit_code": {
            "type": ["integer", "null"],
            "description": "Of a script case's program.",
        },
        "allow_failure": _flag("Whether its failure leaves the exit code alone."),
        "flaky": _flag("Whether it passed, but not at once."),
        "description": _text_or_null("What it is about."),
        "tags": _texts("Its tags."),
        "log_path": _text("Its log."),
        "artifact_dir": _text("The folder of its evidence."),
        "facts": _table(
            "Machine, guest and tool versions.", {"type": ["string", "null"]}
        ),
        "measurements": _measurements("What the steps of its last try measured."),
        "attachments": {
            "type": "array",
            "description": "Files of evidence.",
            "items": _object(
                "A file of evidence.",
                {
                    "path": _text("The file."),
                    "kind": _text("screenshot, console, log, state or file."),
                    "title": _text("What it shows."),
                },
                (),
            ),
        },
        "attempts": {
            "type": "array",
            "items": {"$ref": "#/$defs/attempt"},
            "description": "Its tries, in order.",
        },
        "test_metrics": {"description": "What the case left in its results.json."},
        "error_summary": _text("Why it did not pass, on one line."),
        **_ENDING,
    },
    ("test_metrics", "error_summary", "waited_ms", "measurements"),
)

_SUITE = _object(
    "How a suite of a run ended.",
    {
        "suite": _text("Its name."),
        "slug": _text("Its name in paths."),
        "file": _text("Its file."),
        "action": {"const": "run", "description": "What was done: run."},
        "description": _text_or_null("What it is about."),
        "arch": _text_or_null("Its architecture."),
        "started_at": _text("When it began, in ISO 8601."),
        "finished_at": _text_or_null("When it ended; null if it was cut off."),
        "duration_ms": _count("How long it took."),
        "total": _count("How many cases were selected."),
        "passed": _count("How many of them did no harm."),
        "failed": _count("How many did not pass."),
        "soft_failed": _count("How many did not pass and may."),
        "flaky": _count("How many passed only when tried again."),
        "outcomes": _table("How many cases ended in which way.", _count("Cases.")),
        "outcome": _outcome("How the suite itself ended."),
        "message": _text_or_null("Why none of its cases ran."),
        "complete": _flag("False when the run was killed before its end."),
        "interrupted": _flag("Whether the run was interrupted."),
        "exit_code": {"type": "integer", "description": "Of the whole run."},
        "log_file": _text("The suite's log."),
        "error_log": _text_or_null("The same, if something went wrong."),
        "case_logs_root": _text("The folder of the cases' logs."),
        "artifacts_root": _text("The folder of the cases' evidence."),
        "run_id": _text("The run."),
        "run_dir": _text("The suite's folder of this run."),
        "journal": _text("Everything that happened, event by event."),
        "junit": _text("The same run as JUnit XML."),
        "version": _text("Of vmsuite."),
        "command": _texts("The command line."),
        "host": _table("The machine it ran on.", {"type": ["string", "null"]}),
        "notices": _texts("Troubles of the tool itself."),
        "cases": {
            "type": "array",
            "items": {"$ref": "#/$defs/case"},
            "description": "The cases, in order.",
        },
    },
    (),
)


def result_schema() -> Schema:
    """Return the schema of ``results.json``: one suite, or several of one run.

    Later versions may add keys, so unknown ones are allowed.
    """
    several = _object(
        "Several suites of a run in one document.",
        {"suites": {"type": "array", "items": {"$ref": "#/$defs/suite"}}},
        (),
    )
    return {
        "title": "vmsuite results",
        "description": "What came of a suite, case by case.",
        "if": {"required": ["suites"]},
        "then": several,
        "else": {"$ref": "#/$defs/suite"},
        "$defs": {
            "suite": _SUITE,
            "case": _CASE,
            "attempt": _ATTEMPT,
            "step": _STEP,
            "measurement": _MEASUREMENT,
            "location": _LOCATION,
        },
    }
