"""Everything wrong with a suite is found before anything starts, with its place."""

import pytest

from vmsuite.errors import InvalidSuite, UsageError
from vmsuite.testing.lab import Lab, messages

HEAD = "name: s\nmachines: {vm: {driver: fake}}\ncases:\n  - name: c\n    steps:\n"


def found(lab: Lab, steps: str, *, running: bool = False) -> list[str]:
    return messages(lab.findings(HEAD + steps, running=running))


def test_a_sound_suite_has_no_findings(lab: Lab) -> None:
    assert found(lab, "      - {type: run, command: echo}\n", running=True) == []


def test_an_undefined_variable_is_named_with_its_place(lab: Lab) -> None:
    (said,) = found(lab, '      - {type: run, command: "echo {{ nmae }}"}\n')
    assert said.startswith("6:30 ")
    assert "'nmae' is not defined" in said


def test_a_capture_is_defined_only_after_its_step(lab: Lab) -> None:
    use = '      - {type: run, command: "echo {{ x.stdout }}"}\n'
    make = "      - {type: run, command: echo, capture_output: x}\n"
    assert found(lab, make + use) == []
    assert len(found(lab, use + make)) == 1


def test_a_loop_variable_is_defined_only_inside(lab: Lab) -> None:
    use = '{type: run, command: "echo {{ loop.index }}"}'
    inside = f"      - {{type: loop, count: 2, steps: [{use}]}}\n"
    assert found(lab, inside) == []
    assert len(found(lab, inside + f"      - {use}\n")) == 1


def test_an_undeclared_machine_is_an_error_with_a_near_name(lab: Lab) -> None:
    (finding,) = lab.findings(
        HEAD + "      - {type: virtualization_action, action: connect, machine: vmm}\n"
    )
    assert "machine 'vmm' is not declared" in finding.message
    assert "'vm'" in finding.hint


def test_a_file_without_machines_only_refers(lab: Lab) -> None:
    text = """
        name: s
        cases:
          - name: c
            steps:
              - {type: virtualization_action, action: connect, machine: vm-001}
        """
    (warning,) = lab.findings(text)
    assert warning.severity == "warning"
    with pytest.raises(InvalidSuite):
        lab.run(text)
    lab.write("[machines.vm-001]\ndriver = 'fake'\n", "run-suite.toml")
    assert lab.findings(text, running=True) == []
    assert lab.run(text).exit_code == 0


def test_a_stand_in_is_what_unknown_names_mean(lab: Lab) -> None:
    lab.write("[machines.mine]\ndriver = 'fake'\n", "run-suite.toml")
    lab.settings["machine"] = "mine"
    text = """
        name: s
        cases:
          - name: c
            steps:
              - {type: virtualization_action, action: connect, machine: vm-007}
              - {type: virtualization_action, action: pause}
        """
    assert lab.run(text).exit_code == 0


def test_a_missing_capability_is_found_in_planning(lab: Lab) -> None:
    text = """
        name: s
        machines: {vm: {driver: fake, lacks: [Screen]}}
        cases:
          - name: c
            steps:
              - {type: virtualization_action, action: screenshot}
        """
    (finding,) = lab.findings(text)
    assert "needs Screen" in finding.message
    assert finding.location.line == 6


def test_a_step_without_any_machine_is_found(lab: Lab) -> None:
    text = """
        name: s
        machines: {a: {driver: fake}, b: {driver: fake}}
        cases:
          - {name: c, steps: [{type: virtualization_action, action: pause}]}
        """
    (finding,) = lab.findings(text)
    assert "no machine" in finding.message


def test_unknown_case_names_are_an_error_with_near_ones(lab: Lab) -> None:
    text = HEAD + "      - {type: run, command: echo}\n"
    with pytest.raises(UsageError, match=r"no case is called 'cc'.*did you mean 'ccc'"):
        lab.plan(text.replace("name: c\n", "name: ccc\n"), cases="cc")


def test_cases_are_selected_by_name_slug_glob_and_tag(lab: Lab) -> None:
    text = """
        name: s
        cases:
          - {name: Types Hello, tags: [a], steps: [{type: run, command: echo}]}
          - {name: other, tags: [b], steps: [{type: run, command: echo}]}
          - {name: mat, matrix: {x: [1, 2]}, steps: [{type: run, command: echo}]}
        """

    def names(cases: str = "", tags: str = "") -> list[str]:
        plan = lab.plan(text, cases=cases, tags=tags)
        return [case.name for suite in plan.suites for case in suite.cases]

    assert names(cases="types-hello") == ["Types Hello"]
    assert names(cases="oth*") == ["other"]
    assert names(cases="mat") == ["mat[x=1]", "mat[x=2]"]
    assert names(cases="mat[x=1]") == ["mat[x=1]"]
    assert names(tags="a b") == ["Types Hello", "other"]
    assert names(tags="!a,!b") == ["mat[x=1]", "mat[x=2]"]


def test_circular_includes_are_refused_and_others_join(lab: Lab) -> None:
    lab.write("name: b\ninclude: [a.yaml]\ncases: []\n", "b.yaml")
    path = lab.write(
        "name: a\ninclude: [b.yaml]\ncases: [{name: x, steps: [{type: run, command: 'true'}]}]\n",
        "a.yaml",
    )
    said = messages(lab.findings(path))
    assert any(
        "circular include: a.yaml includes b.yaml includes a.yaml" in s for s in said
    )


def test_an_included_file_uses_the_machines_and_variables_of_its_includer(
    lab: Lab,
) -> None:
    lab.write(
        """
        name: more
        vars: {word: default}
        cases:
          - name: included
            steps:
              - {type: virtualization_action, action: execute_command, machine: vm, command: "say {{ word }}"}
        """,
        "more.yaml",
    )
    path = lab.write(
        """
        name: s
        vars: {word: mine}
        machines: {vm: {driver: fake, commands: {"say mine": {stdout: ok}}}}
        include: more.yaml
        """
    )
    run = lab.run(path)
    assert [c.outcome for c in run.cases] == ["passed"], run.cases[0].message


def test_a_missing_include_is_named_at_its_place(lab: Lab) -> None:
    path = lab.write("name: a\ninclude:\n  - gone.yaml\ncases: []\n", "a.yaml")
    assert any(
        m.startswith("3:5 included file gone.yaml")
        for m in messages(lab.findings(path))
    )


def test_secrets_never_reach_a_file(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_PASSWORD", "hunter2-hunter2")
    run = lab.run(
        """
        name: s
        vars: {pw: {secret: true, env: THE_PASSWORD}}
        cases:
          - name: c
            steps:
              - {type: run, command: "echo got {{ pw }}; exit 3", label: "with {{ pw }}"}
        """
    )
    folder = run.suites[0].folder
    written = [p for p in folder.rglob("*") if p.is_file()]
    assert written
    for path in written:
        assert b"hunter2" not in path.read_bytes(), path
    assert "got ***" in (folder / "cases" / "c.log").read_text()


def test_a_secret_without_a_value_is_found(lab: Lab) -> None:
    text = "name: s\nvars: {pw: {secret: true, env: NOT_SET_ANYWHERE}}\ncases: [{name: c, steps: [{type: run, command: 'true'}]}]\n"
    (finding,) = lab.findings(text, running=True)
    assert finding.severity == "error"
    assert "NOT_SET_ANYWHERE is not set" in finding.message


VDI = """
    name: s
    cases:
      - name: c
        steps:
          - {type: vdi_action, action: get_user_domain, user_id: u, capture_output: d}
          - {type: run, command: "echo {{ d.id }}"}
    """


def test_a_step_of_a_missing_plugin_is_a_warning_until_it_should_run(lab: Lab) -> None:
    (warning,) = lab.findings(VDI)
    assert warning.severity == "warning"
    assert "vdi_action: get_user_domain" in warning.message
    with pytest.raises(InvalidSuite):
        lab.run(VDI)


def test_one_mistake_gives_one_finding(lab: Lab) -> None:
    text = """
        name: s
        vars: {a: "{{ broken"}
        machines: {vm: {driver: fake, screan: 1x1}}
        cases:
          - name: c
            steps:
              - {type: wait, until: {condition: no_such}}
              - {type: virtualization_action, action: connect}
              - {type: run, comand: x}
              - {type: wait, duration: soon}
              - {type: virtualization_action, action: send_key, key: entr, machine: vm}
        """
    lines = [finding.location.line for finding in lab.findings(text)]
    assert lines == [2, 3, 7, 8, 9, 10, 11]


def test_a_secret_too_short_to_be_masked_is_told(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHORT", "ab")
    (warning,) = lab.findings(
        "name: s\nvars: {pw: {secret: true, env: SHORT}}\n"
        "cases: [{name: c, steps: [{type: run, command: 'true'}]}]\n"
    )
    assert "too short to be masked" in warning.message
