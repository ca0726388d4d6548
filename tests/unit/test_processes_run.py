"""Programs are started as told, and refusals say why and what to do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from vmsuite.errors import PlatformError
from vmsuite.processes import Completed, Kept, find_program, run, start


def complete(*argv: str | Path, **options: object) -> Completed:
    return asyncio.run(run(argv, **options))  # type: ignore[arg-type]  # passed on


@pytest.mark.parametrize("code", [0, 1, 42, 127, 255])
def test_the_exit_code_is_the_programs_own(code: int) -> None:
    done = complete("sh", "-c", f"exit {code}")
    assert (done.exit_code, done.signal) == (code, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_death_by_signal_names_the_signal(number: signal.Signals) -> None:
    done = complete("sh", "-c", f"kill -{number.value} $$")
    assert (done.exit_code, done.signal) == (128 + number, number)


def test_an_exit_reads_like_a_sentence() -> None:
    async def main(script: str) -> str:
        async with start(["sh", "-c", script]) as child:
            return str(await child.wait())

    assert asyncio.run(main("exit 7")) == "exit code 7"
    assert asyncio.run(main("kill -9 $$")) == "killed by SIGKILL"
    assert asyncio.run(main("kill -40 $$")) == "killed by signal 40"


def test_streams_come_back_apart() -> None:
    done = complete("sh", "-c", "echo out; echo err >&2")
    assert (done.text, done.errors) == ("out\n", "err\n")


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_000])
def test_standard_input_arrives_whole_and_ends(size: int) -> None:
    done = complete("wc", "-c", stdin=b"x" * size)
    assert int(done.text) == size


def test_a_program_that_reads_no_input_does_no_harm() -> None:
    done = complete("sh", "-c", "exec <&-; echo fine", stdin=b"x" * 1_000_000)
    assert done.text == "fine\n"


def test_without_input_it_reads_the_end_at_once() -> None:
    assert complete("cat").text == ""


def test_the_environment_is_ours_and_more_and_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("GONE", "1")
    script = 'echo "$KEPT-$GONE-$NEW-$VMSUITE_OWNER"'
    done = complete("sh", "-c", script, env={"NEW": "2", "GONE": None}, owner="tok")
    assert done.text == "1--2-tok\n"


def test_an_owner_in_the_environment_is_kept() -> None:
    done = complete("sh", "-c", "echo $VMSUITE_OWNER", env={"VMSUITE_OWNER": "mine"})
    assert done.text == "mine\n"


def test_it_runs_where_it_was_told(tmp_path: Path) -> None:
    program = tmp_path / "here"
    program.write_text("#!/bin/sh\npwd\n")
    program.chmod(0o755)
    assert complete("./here", cwd=tmp_path).text == f"{tmp_path}\n"


def test_it_is_the_leader_of_a_session_of_its_own() -> None:
    script = "import os; print(os.getpid() == os.getsid(0) == os.getpgrp())"
    assert complete(sys.executable, "-c", script).text == "True\n"


def test_it_inherits_only_the_descriptors_it_was_given() -> None:
    reading, writing = os.pipe()
    other, another = os.pipe()
    for number in (reading, writing, other, another):
        os.set_inheritable(number, True)
    script = (
        "import os, sys; "
        "print([os.path.exists('/proc/self/fd/' + n) for n in sys.argv[1:]])"
    )

    async def main() -> bytes:
        kept = Kept()
        argv = [sys.executable, "-c", script, str(writing), str(other)]
        async with start(argv, stdout=kept, pass_fds=[writing]) as child:
            await child.wait()
        return kept.data

    assert asyncio.run(main()) == b"[True, False]\n"
    for number in (reading, writing, other, another):
        os.close(number)


def test_no_descriptor_is_left_open() -> None:
    async def main() -> None:
        for _ in range(5):
            await run(["sh", "-c", "echo x"], stdin=b"y")
            with pytest.raises(PlatformError):
                await run(["/nowhere/at/all"], stdin=b"y")
            with pytest.raises(PlatformError):
                await run(["true", "a\0b"], stdin=b"y")

    before = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(main())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_program_dies_with_its_parent_where_the_host_can_do_that() -> None:
    # PR_GET_PDEATHSIG is 2.
    script = (
        "import ctypes; n = ctypes.c_int(); "
        "ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)"
    )
    assert complete(sys.executable, "-c", script).text == "9\n"


def a_file(folder: Path, content: str | bytes, mode: int = 0o755) -> Path:
    path = folder / "program"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def refusal(*argv: str | Path, **options: object) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        complete(*argv, **options)
    return caught.value


def test_a_missing_program_is_named() -> None:
    assert "'no-such-program' is not on PATH" in str(refusal("no-such-program"))
    assert "/no/such: no such program" in str(refusal("/no/such"))
    assert "'' is not on PATH" in str(refusal(""))


def test_path_is_the_one_of_the_child(tmp_path: Path) -> None:
    program = a_file(tmp_path, "#!/bin/sh\necho found\n")
    done = complete("program", env={"PATH": f"{tmp_path}:/bin:/usr/bin"})
    assert done.text == "found\n"
    assert find_program("program", env={"PATH": str(tmp_path)}) == program


def test_a_folder_is_no_program(tmp_path: Path) -> None:
    assert f"{tmp_path} is a folder" in str(refusal(tmp_path))


def test_a_file_that_is_not_executable_says_chmod(tmp_path: Path) -> None:
    path = a_file(tmp_path, "#!/bin/sh\n", 0o644)
    assert str(refusal(path)) == f"{path} is not executable (chmod +x {path})"


@pytest.mark.parametrize("first", ["#!/no/such/sh", "#!/no/such/sh -e", "#!/bin/sh\r"])
def test_a_bad_interpreter_is_named(tmp_path: Path, first: str) -> None:
    path = a_file(tmp_path, f"{first}\necho\n")
    error = refusal(path)
    assert "names the interpreter" in error.message
    assert str(path) in error.message


def test_a_script_without_a_first_line_is_not_guessed_at(tmp_path: Path) -> None:
    error = refusal(a_file(tmp_path, "echo hello\n"))
    assert "#!/bin/sh" in error.hint


def test_a_binary_without_its_loader_says_so(tmp_path: Path) -> None:
    shell = Path("/bin/sh").resolve().read_bytes()
    broken = shell.replace(b"/ld-linux-", b"/xx-linux-")
    assert broken != shell, "this test needs a dynamically linked /bin/sh"
    assert "loader" in refusal(a_file(tmp_path, broken)).hint


def test_a_binary_for_another_processor_is_refused(tmp_path: Path) -> None:
    shell = bytearray(Path("/bin/sh").resolve().read_bytes())
    shell[18:20] = b"\x08\x00" if sys.byteorder == "little" else b"\x00\x08"
    error = refusal(a_file(tmp_path, bytes(shell)))
    assert "Exec format error" in error.message


def test_a_missing_folder_to_run_in_is_named(tmp_path: Path) -> None:
    error = refusal("true", cwd=tmp_path / "absent")
    assert f"cannot run in {tmp_path}/absent" in error.message


def test_arguments_that_no_program_can_take_are_refused() -> None:
    assert "null" in refusal("true", "a\0b").message
    assert "too long" in refusal("true", *["x" * 100_000] * 100).hint
