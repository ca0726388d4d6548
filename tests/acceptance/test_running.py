"""How a run as a whole behaves: jobs, fail-fast, last-failed, build scripts."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmsuite.errors import UsageError
from vmsuite.model import Outcome
from vmsuite.planning.last_failed import only_last_failed
from vmsuite.testing.lab import Lab, outcomes

THREE = """
    name: s
    cases:
      - {name: a, steps: [{type: run, command: "true"}]}
      - {name: b, steps: [{type: run, command: "exit 1"}]}
      - {name: c, steps: [{type: run, command: "true"}]}
    """


def test_fail_fast_starts_no_further_case(lab: Lab) -> None:
    lab.settings["fail_fast"] = True
    run = lab.run(THREE)
    assert outcomes(run) == {"a": "passed", "b": "failed", "c": "skipped"}
    assert "--fail-fast, after 'b'" in run.cases[2].message
    assert run.exit_code == 1


def test_fail_fast_is_not_for_failures_that_are_allowed(lab: Lab) -> None:
    lab.settings["fail_fast"] = True
    run = lab.run(THREE.replace("name: b,", "name: b, allow_failure: true,"))
    assert outcomes(run)["c"] == "passed"


def test_last_failed_keeps_only_what_did_not_pass(lab: Lab) -> None:
    lab.run(THREE)
    plan = only_last_failed(lab.plan(THREE), lab.folder / "logs")
    assert [case.name for suite in plan.suites for case in suite.cases] == ["b"]


def test_last_failed_says_when_nothing_failed(lab: Lab) -> None:
    passing = THREE.replace("exit 1", "true")
    lab.run(passing)
    with pytest.raises(UsageError, match="no case failed last time"):
        only_last_failed(lab.plan(passing), lab.folder / "logs")


def test_jobs_run_cases_at_once(lab: Lab) -> None:
    lab.settings["jobs"] = 3
    wait = "{type: wait, duration: 700ms}"
    begun = time.monotonic()
    run = lab.run(
        "name: s\ncases:\n"
        + "".join(f"  - {{name: c{n}, steps: [{wait}]}}\n" for n in range(3))
    )
    assert run.exit_code == 0
    assert time.monotonic() - begun < 1.9


def test_exclusive_cases_run_after_the_others_and_alone(lab: Lab) -> None:
    lab.settings["jobs"] = 4
    note = "{type: run, command: 'echo %s >> order; sleep 0.2; echo %s >> order', cwd: '{{ suite.dir }}'}"
    run = lab.run(
        "name: s\ncases:\n"
        f"  - {{name: x, requires: {{exclusive: true}}, steps: [{note % ('x', 'x')}]}}\n"
        f"  - {{name: y, requires: {{exclusive: true}}, steps: [{note % ('y', 'y')}]}}\n"
        f"  - {{name: a, steps: [{note % ('a', 'a')}]}}\n"
    )
    assert run.exit_code == 0
    assert (lab.folder / "order").read_text().split() == list("aaxxyy")


def test_a_suite_whose_build_script_fails_runs_nothing_and_says_so(lab: Lab) -> None:
    script = lab.write("#!/bin/sh\necho cannot build $1; exit 3\n", "build.sh")
    script.chmod(0o755)
    run = lab.run(
        "name: s\nbuild_script: build.sh\n"
        "cases: [{name: c, steps: [{type: run, command: 'true'}]}]\n"
    )
    assert outcomes(run) == {"c": "skipped"}
    assert "build script build.sh ended with exit code 3" in run.suites[0].message
    assert run.exit_code == 3
    last = json.loads((lab.folder / "logs" / "s" / "last_run.json").read_text())
    assert last["failed"] == 1
    assert "cannot build" in (run.suites[0].folder / "suite.log").read_text()


def test_two_suites_of_one_name_do_not_share_a_folder(lab: Lab) -> None:
    for name in ("one", "two"):
        lab.write(
            "name: same\ncases: [{name: c, steps: [{type: run, command: 'true'}]}]\n",
            f"suites/{name}/suite.yaml",
        )
    run = lab.run(lab.folder / "suites")
    folders = {suite.folder for suite in run.suites}
    assert len(folders) == 2
    assert all((folder / "junit.xml").is_file() for folder in folders)


def test_a_script_case_ends_with_its_whole_process_group(lab: Lab) -> None:
    script = lab.write("#!/bin/sh\nsleep 600 &\nsleep 601\n", "hang.sh")
    script.chmod(0o755)
    begun = time.monotonic()
    (case,) = lab.run(
        "name: s\ncases: [{name: c, path: hang.sh, timeout_secs: 0.5}]\n"
    ).cases
    assert case.outcome is Outcome.TIMEOUT
    assert time.monotonic() - begun < 10


def test_a_script_sees_its_case_in_the_environment(lab: Lab) -> None:
    script = lab.write(
        "#!/bin/sh\nset -e\n"
        'test "$STARRY_CASE_NAME" = "my case"\ntest "$STARRY_CASE_SLUG" = my-case\n'
        'test "$STARRY_CASE_TIMEOUT_SECS" = 7\ntest -d "$STARRY_CASE_ARTIFACT_DIR"\n'
        'echo \'{"score": 3, "metrics": []}\' > "$STARRY_CASE_ARTIFACT_DIR/results.json"\n',
        "ok.sh",
    )
    script.chmod(0o755)
    (case,) = lab.run(
        "name: s\ncases: [{name: my case, path: ok.sh, timeout_secs: 7}]\n"
    ).cases
    assert case.outcome is Outcome.PASSED, case.message
    assert case.metrics == {"score": 3, "metrics": []}


def test_a_missing_script_is_a_warning_for_lint_and_an_error_for_a_run(
    lab: Lab,
) -> None:
    text = "name: s\ncases: [{name: c, path: gone.sh}]\n"
    (warning,) = lab.findings(text)
    (error,) = lab.findings(text, running=True)
    assert (warning.severity, error.severity) == ("warning", "error")


def test_the_suite_log_and_case_logs_tell_the_story(lab: Lab) -> None:
    run = lab.run(THREE)
    folder: Path = run.suites[0].folder
    assert "exit 1" in (folder / "cases" / "b.log").read_text()
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("words", [["list", "--last-failed"], ["--list", "--lf"]])
def test_what_last_failed_would_run_can_be_listed(lab: Lab, words: list[str]) -> None:
    lab.run(THREE)
    command = Path(sys.executable).with_name("run-suite")
    listed = subprocess.run(
        [command, *words, "suite.yaml"],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split()[1] for line in listed.stdout.splitlines()[1:]] == ["b"]
