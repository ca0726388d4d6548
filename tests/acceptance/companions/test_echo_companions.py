"""The shipped companions, run for real against services that echo, and that do not."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vmsuite.companions import Catalogue, build, command_of
from vmsuite.errors import PlatformError, Skipped
from vmsuite.processes import Completed, run

ROOT = Path(__file__).parents[3]
Serve = Callable[[socket.socket], None]


# --- services -------------------------------------------------------------------


def echoes(peer: socket.socket) -> None:
    while data := peer.recv(4096):
        peer.sendall(data)


def drops_a_byte(peer: socket.socket) -> None:
    data = peer.recv(4096)
    peer.sendall(data[:-1])
    echoes(peer)


def flips_a_bit(peer: socket.socket) -> None:
    seen = 0
    while data := peer.recv(4096):
        changed = bytearray(data)
        if seen < 50_000 <= seen + len(data):
            changed[50_000 - seen] ^= 1
        peer.sendall(changed)
        seen += len(data)


def swaps_two_pieces(peer: socket.socket) -> None:
    first = peer.recv(1000, socket.MSG_WAITALL)
    second = peer.recv(1000, socket.MSG_WAITALL)
    peer.sendall(second + first)
    echoes(peer)


def says_too_much(peer: socket.socket) -> None:
    echoes(peer)
    peer.sendall(b"and another thing")


def says_it_twice(peer: socket.socket) -> None:
    while data := peer.recv(4096):
        peer.sendall(data + data)


def hangs_up(peer: socket.socket) -> None:
    peer.sendall(peer.recv(4096))


def keeps_silent(peer: socket.socket) -> None:
    while peer.recv(4096):
        pass


@contextmanager
def service(serve: Serve, listener: socket.socket) -> Iterator[None]:
    """Serve one connection after the other in a thread until the block ends."""

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                try:
                    serve(peer)
                except OSError:
                    continue

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@contextmanager
def tcp(serve: Serve) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    with service(serve, listener):
        yield listener.getsockname()[1]


@contextmanager
def unix(serve: Serve, path: Path) -> Iterator[Path]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    with service(serve, listener):
        yield path


# --- running a companion --------------------------------------------------------


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def companion(cache: Path, name: str, *args: object) -> Completed:
    program = Catalogue(suite_dir=ROOT, workspace=ROOT).find(name)

    async def main() -> Completed:
        try:
            results = (await build(program, cache_dir=cache)).folder
        except Skipped as skipped:
            pytest.skip(str(skipped))
        command = command_of(program, build=results)
        env = {"PYTHONPATH": str(ROOT / "host_companions/common")}
        return await run([*command, *map(str, args)], env=env)

    return asyncio.run(main())


@pytest.fixture(params=["tcp-echo", "rust-echo"])
def tcp_companion(request: pytest.FixtureRequest) -> str:
    return str(request.param)


QUICK = ("--patience", 1, "--limit", 1)


@pytest.mark.parametrize("count", [1, 64, 102_400, 3_000_000])
def test_a_tcp_echo_is_checked_to_the_last_byte(
    cache: Path, tcp_companion: str, count: int
) -> None:
    with tcp(echoes) as port:
        done = companion(cache, tcp_companion, "--port", port, "--bytes", count)
    assert done.exit_code == 0, done.errors
    assert f"{count} bytes sent, {count} came back, all equal" in done.text


def test_a_tcp_echo_sends_100_kib_if_not_told_otherwise(
    cache: Path, tcp_companion: str
) -> None:
    with tcp(echoes) as port:
        done = companion(cache, tcp_companion, "--port", port)
    assert "102400 bytes sent, 102400 came back" in done.text


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (drops_a_byte, "came back"),
        (flips_a_bit, "byte 50000 came back as"),
        (swaps_two_pieces, "byte 0 came back as"),
        (says_too_much, "never sent|more than was sent"),
        (says_it_twice, "more than was sent|came back as"),
        (hangs_up, "then the other side hung up|reset"),
        (keeps_silent, "0 came back"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_service_that_does_not_echo_fails(
    cache: Path, tcp_companion: str, serve: Serve, said: str
) -> None:
    with tcp(serve) as port:
        done = companion(cache, tcp_companion, "--port", port, *QUICK)
    assert done.exit_code == 1
    assert any(part in done.errors for part in said.split("|")), done.errors


@pytest.mark.parametrize(
    ("options", "code"), [((), 1), (("--keep-open",), 0)], ids=["asked", "not asked"]
)
def test_a_service_that_does_not_hang_up_fails_if_it_should(
    cache: Path, options: tuple[str, ...], code: int
) -> None:
    over = threading.Event()

    def never_hangs_up(peer: socket.socket) -> None:
        echoes(peer)
        over.wait(20)

    with tcp(never_hangs_up) as port:
        args = ("--port", port, "--limit", 1, *options)
        done = companion(cache, "tcp-echo", *args)
        over.set()
    assert done.exit_code == code
    assert ("did not hang up" in done.errors) == bool(code)


def test_nobody_there_fails_after_some_patience(
    cache: Path, tcp_companion: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = companion(cache, tcp_companion, "--port", port, *QUICK)
    assert done.exit_code == 1
    assert "cannot connect" in done.errors


def test_a_connection_that_is_dropped_at_first_is_tried_again(
    cache: Path, tcp_companion: str
) -> None:
    """A forwarded port does that until somebody listens in the guest."""
    calls = []

    def later(peer: socket.socket) -> None:
        calls.append(1)
        if len(calls) > 2:
            echoes(peer)

    with tcp(later) as port:
        done = companion(cache, tcp_companion, "--port", port)
    assert done.exit_code == 0, done.errors
    assert len(calls) == 3


def test_wrong_arguments_are_refused(cache: Path, tcp_companion: str) -> None:
    assert companion(cache, tcp_companion).exit_code == 2
    assert companion(cache, tcp_companion, "--port", "x").exit_code == 2


@pytest.mark.parametrize("count", [1, 2, 64, 65, 102_400])
def test_a_channel_echo_is_checked_to_the_last_byte(
    cache: Path, tmp_path: Path, count: int
) -> None:
    with unix(echoes, tmp_path / "s") as path:
        done = companion(
            cache, "virtio-serial-peer", "--socket", path, "--bytes", count
        )
    assert done.exit_code == 0, done.errors
    assert f"{count} bytes sent, {count} came back, all equal" in done.text


def line_echo(peer: socket.socket) -> None:
    """Echo as a guest's shell does: line by line, after some old leftovers."""
    peer.sendall(b"leftover of an earlier talk\n")
    with peer.makefile("rwb") as file:
        for line in file:
            file.write(b" ".join(line.split(b" ")))
            file.flush()


def test_old_leftovers_in_a_channel_do_no_harm(cache: Path, tmp_path: Path) -> None:
    with unix(line_echo, tmp_path / "s") as path:
        done = companion(cache, "virtio-serial-peer", "--socket", path)
    assert done.exit_code == 0, done.errors


def chatters(peer: socket.socket) -> None:
    seen = 0
    while data := peer.recv(4096):
        peer.sendall(data)
        seen += len(data)
        if seen > 20_000:
            peer.sendall(b"kernel: something\n")


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (drops_a_byte, "no echo of the greeting"),
        (flips_a_bit, "came back as"),
        (chatters, "came back"),
        (says_it_twice, "never sent|more than|came back"),
        (hangs_up, "hung up|closed|reset|Broken pipe"),
        (keeps_silent, "no echo of the greeting"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_channel_that_does_not_echo_fails(
    cache: Path, tmp_path: Path, serve: Serve, said: str
) -> None:
    with unix(serve, tmp_path / "s") as path:
        done = companion(cache, "virtio-serial-peer", "--socket", path, *QUICK)
    assert done.exit_code == 1
    assert any(part in done.errors for part in said.split("|")), done.errors


def test_a_channel_that_is_not_there_fails(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "absent"
    done = companion(cache, "virtio-serial-peer", "--socket", path, *QUICK)
    assert done.exit_code == 1
    assert "cannot connect" in done.errors


# --- vsock ----------------------------------------------------------------------

LOCAL_CID = 1  # the host's own loopback, where its kernel has vsock_loopback


@contextmanager
def vsock(serve: Serve) -> Iterator[int]:
    if not hasattr(socket, "AF_VSOCK"):
        pytest.skip("this Python has no vsock")
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listener:
        try:
            listener.bind((LOCAL_CID, socket.VMADDR_PORT_ANY))
            listener.listen()
            with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as trial:
                trial.settimeout(1)
                trial.connect((LOCAL_CID, listener.getsockname()[1]))
            listener.accept()[0].close()
        except OSError as error:
            pytest.skip(f"this kernel has no vsock loopback: {error}")
        with service(serve, listener):
            yield listener.getsockname()[1]


@pytest.mark.parametrize(("serve", "code"), [(echoes, 0), (flips_a_bit, 1)])
def test_a_vsock_echo_is_checked(cache: Path, serve: Serve, code: int) -> None:
    with vsock(serve) as port:
        args = ("--cid", LOCAL_CID, "--port", port)
        done = companion(cache, "vsock-echo", *args, *QUICK)
    assert done.exit_code == code, done.errors


def test_a_vsock_echo_without_a_guest_fails(cache: Path) -> None:
    args = ("--cid", 4_000_000, "--port", 7)
    done = companion(cache, "vsock-echo", *args, *QUICK)
    assert done.exit_code == 1
    assert "cannot connect" in done.errors


# --- what is shipped ------------------------------------------------------------


def test_every_shipped_companion_is_sound() -> None:
    catalogue = Catalogue(suite_dir=ROOT / "nowhere", workspace=ROOT / "nowhere")
    names = {"tcp-echo", "rust-echo", "virtio-serial-peer", "vsock-echo"}
    assert set(catalogue.names()) == names
    for name in names:
        program = catalogue.find(name)
        assert program.definition.description
        assert f"`{name}`" in (ROOT / "host_companions/README.md").read_text()
    with pytest.raises(PlatformError):
        catalogue.find("common")


def test_rust_is_built_where_cargo_is(cache: Path) -> None:
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    program = Catalogue(suite_dir=ROOT, workspace=ROOT).find("rust-echo")
    built = asyncio.run(build(program, cache_dir=cache))
    assert (built.folder / "release/rust-echo").is_file()
    assert not (program.folder / "target").exists()
