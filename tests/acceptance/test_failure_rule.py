"""A step that does not pass ends its case; the rest is skipped, cleanup runs."""

from vmsuite.model import Outcome
from vmsuite.testing.lab import Lab, outcomes


def steps_of(lab: Lab, text: str) -> dict[str, Outcome]:
    case = lab.run_case(text)
    return {step.index: step.outcome for step in case.attempts[-1].steps}


def test_the_rest_of_a_failed_case_is_skipped_and_cleanup_runs(lab: Lab) -> None:
    found = steps_of(
        lab,
        """
        name: s
        cases:
          - name: c
            steps:
              - {type: run, command: "true"}
              - {type: run, command: "exit 1"}
              - {type: run, command: "true"}
            cleanup:
              - {type: run, command: "true"}
        """,
    )
    assert found == {
        "1": Outcome.PASSED,
        "2": Outcome.FAILED,
        "3": Outcome.SKIPPED,
        "cleanup.1": Outcome.PASSED,
    }


def test_a_step_that_may_fail_lets_the_others_go_on_and_still_counts(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps:
              - {type: run, command: "exit 1", continue_on_failure: true}
              - {type: run, command: "true"}
        """
    )
    assert case.outcome is Outcome.FAILED
    assert case.attempts[0].steps[1].outcome is Outcome.PASSED


def test_a_failure_in_a_block_ends_the_case_and_names_the_inner_step(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps:
              - type: group
                steps:
                  - {type: run, command: "true"}
                  - {type: run, command: "exit 4"}
                  - {type: run, command: "true"}
              - {type: run, command: "true"}
        """
    )
    found = {step.index: step.outcome for step in case.attempts[0].steps}
    assert found == {
        "1.1": Outcome.PASSED,
        "1.2": Outcome.FAILED,
        "1.3": Outcome.SKIPPED,
        "1": Outcome.FAILED,
        "2": Outcome.SKIPPED,
    }
    assert case.location.line == 8
    assert case.attempts[0].location.line == 8


def test_when_skips_a_step_and_not_the_case(lab: Lab) -> None:
    found = steps_of(
        lab,
        """
        name: s
        vars: {fast: true}
        cases:
          - name: c
            steps:
              - {type: run, command: "exit 1", when: "not fast"}
              - {type: run, command: "true", when: "fast"}
        """,
    )
    assert found == {"1": Outcome.SKIPPED, "2": Outcome.PASSED}


def test_a_step_is_retried_within_its_envelope(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps:
              - type: run
                command: "echo x >> counter; test $(wc -l < counter) -ge 3"
                cwd: "{{ case.artifact_dir }}"
                retries: 2
        """
    )
    assert case.outcome is Outcome.PASSED
    assert case.attempts[0].steps[0].attempt == 3


def test_a_retried_case_that_passes_is_flaky(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        retries: 1
        cases:
          - name: c
            steps:
              - type: run
                command: "test -e seen || { touch seen; exit 1; }"
                cwd: "{{ suite.dir }}"
        """
    )
    assert case.outcome is Outcome.PASSED
    assert case.flaky
    assert [a.outcome for a in case.attempts] == [Outcome.FAILED, Outcome.PASSED]


def test_a_case_that_passes_at_once_is_not_flaky(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        retries: 3
        cases:
          - {name: c, steps: [{type: run, command: "true"}]}
        """
    )
    assert len(case.attempts) == 1
    assert not case.flaky


def test_all_cleanup_steps_run_even_if_one_fails(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps: [{type: run, command: "true"}]
            cleanup:
              - {type: run, command: "exit 5"}
              - {type: run, command: "true"}
        """
    )
    assert case.outcome is Outcome.FAILED
    assert "cleanup" in case.message
    assert [s.outcome for s in case.attempts[0].steps][1:] == [
        Outcome.FAILED,
        Outcome.PASSED,
    ]


def test_cleanup_runs_after_the_case_ran_out_of_time(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            timeout: 300ms
            steps: [{type: wait, duration: 1m}]
            cleanup: [{type: run, command: "echo cleaned > cleaned", cwd: "{{ suite.dir }}"}]
        """
    )
    assert case.outcome is Outcome.TIMEOUT
    assert (lab.folder / "cleaned").read_text() == "cleaned\n"


def test_one_bad_case_loses_nothing_of_the_others(lab: Lab) -> None:
    run = lab.run(
        """
        name: s
        cases:
          - {name: a, steps: [{type: run, command: "exit 1"}]}
          - {name: b, steps: [{type: run, argv: [/no/such/program]}]}
          - {name: c, steps: [{type: run, command: "true"}]}
        """
    )
    assert outcomes(run) == {"a": "failed", "b": "error", "c": "passed"}
    assert run.exit_code == 1


def test_only_tool_trouble_gives_exit_code_3(lab: Lab) -> None:
    run = lab.run(
        """
        name: s
        cases:
          - {name: b, steps: [{type: run, argv: [/no/such/program]}]}
          - {name: c, steps: [{type: run, command: "true"}]}
        """
    )
    assert run.exit_code == 3


def test_an_allowed_failure_stays_a_failure_and_leaves_the_exit_code(lab: Lab) -> None:
    run = lab.run(
        """
        name: s
        cases:
          - {name: a, allow_failure: true, steps: [{type: run, command: "exit 1"}]}
        """
    )
    assert outcomes(run) == {"a": "failed"}
    assert run.exit_code == 0


def test_captures_reach_later_steps_and_keep_their_types(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        vars: {times: 2}
        cases:
          - name: c
            steps:
              - {type: run, command: "printf '%s' '{{ '{{' }} 1 }}'", capture_output: said}
              - {type: verify, condition: expression, that: "said.stdout == '{{ 1 }}'"}
              - type: loop
                count: "{{ times }}"
                steps:
                  - {type: run, command: "echo {{ loop.index }} >> rounds", cwd: "{{ suite.dir }}"}
        """
    )
    assert case.outcome is Outcome.PASSED, case.message
    assert (lab.folder / "rounds").read_text() == "1\n2\n"


def test_a_matrix_makes_a_case_for_each_combination(lab: Lab) -> None:
    run = lab.run(
        """
        name: s
        matrix: {a: [1, 2]}
        cases:
          - name: c
            matrix: {b: [x, y]}
            steps: [{type: verify, condition: expression, that: "matrix.a == 1 or matrix.b == 'y'"}]
        """
    )
    assert outcomes(run) == {
        "c[a=1,b=x]": "passed",
        "c[a=1,b=y]": "passed",
        "c[a=2,b=x]": "failed",
        "c[a=2,b=y]": "passed",
    }


def test_parallel_branches_run_side_by_side(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            timeout: 20s
            steps:
              - type: parallel
                steps:
                  - {type: run, command: "mkfifo one 2>/dev/null; echo from-first > one", cwd: "{{ suite.dir }}"}
                  - {type: run, command: "mkfifo one 2>/dev/null; grep from-first < one", cwd: "{{ suite.dir }}"}
        """
    )
    assert case.outcome is Outcome.PASSED, case.message


def test_what_a_command_said_never_becomes_part_of_an_expression(lab: Lab) -> None:
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps:
              - {type: run, command: "echo '1 == 1'", capture_output: said}
              - {type: verify, condition: expression, that: "'{{ said.stdout }}' == '1 == 1'"}
        """
    )
    assert case.outcome is Outcome.FAILED
