"""The small parts of the QEMU driver, each for itself."""

from __future__ import annotations

import asyncio
import stat
import struct
import zlib
from pathlib import Path

import pytest

from vmsuite.errors import PlatformError
from vmsuite.ports import KeyPress, PointerEvent
from vmsuite_plugins.drivers.qemu.accelerator import Accelerators, try_accelerator
from vmsuite_plugins.drivers.qemu.audit import masked
from vmsuite_plugins.drivers.qemu.pictures import png_from_ppm, png_size
from vmsuite_plugins.drivers.qemu.restarts import Restarts
from vmsuite_plugins.drivers.qemu.trace import TraceFile
from vmsuite_plugins.protocols.console_log import ConsoleLog
from vmsuite_plugins.protocols.input_events import (
    pointer_events,
    press_events,
    ps2_bytes,
)


def program(folder: Path, script: str) -> Path:
    path = folder / "qemu"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("script", "works", "reason"),
    [
        ("printf 'SeaBIOS (version x)'; exec sleep 9", True, ""),
        (
            "echo warning >&2; echo could not access KVM >&2; exit 1",
            False,
            "access KVM",
        ),
        ("printf other; exit 0", False, "no guest ran within"),
    ],
)
def test_an_accelerator_works_if_a_guest_ran(
    tmp_path: Path, script: str, works: bool, reason: str
) -> None:
    trial = try_accelerator(program(tmp_path, script), "kvm")
    assert trial.works is works
    assert reason in trial.reason


def test_an_accelerator_is_tried_once_and_tcg_never(tmp_path: Path) -> None:
    binary = program(tmp_path, f"echo x >>{tmp_path}/tries; echo no >&2; exit 1")
    accelerators = Accelerators()
    for _ in range(3):
        assert accelerators.choose(binary, "auto") == ("tcg", "no KVM: no")
    assert accelerators.choose(binary, "kvm") == ("kvm", "")
    assert accelerators.trial(binary, "tcg").works
    assert (tmp_path / "tries").read_text() == "x\n"


def test_a_qemu_that_is_missing_works_with_nothing(tmp_path: Path) -> None:
    trial = try_accelerator(tmp_path / "none", "kvm")
    assert not trial.works
    assert "No such file" in trial.reason


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def restarting(
    folder: Path, clock: Clock, *, linux: bool
) -> tuple[ConsoleLog, Restarts]:
    log = ConsoleLog(folder / "console.log")
    restarts = Restarts(log, linux=linux, clock=clock)
    restarts.begin()
    return log, restarts


def test_a_restart_that_the_kernel_announced_is_none(tmp_path: Path) -> None:
    log, restarts = restarting(tmp_path, Clock(), linux=True)
    restarts.ready()
    log.feed(b"[   10.1] reboot: Restarting system\r\n")
    assert restarts.restarted(by_guest=True) == ""
    restarts.begin()
    restarts.ready()
    assert "triple fault" in restarts.restarted(by_guest=True)
    log.close()


def test_a_restart_of_an_unknown_kernel_is_its_own_affair(tmp_path: Path) -> None:
    log, restarts = restarting(tmp_path, Clock(), linux=False)
    restarts.ready()
    assert restarts.restarted(by_guest=True) == ""
    log.close()


def test_a_guest_that_speaks_and_restarts_over_and_over_crashes(tmp_path: Path) -> None:
    log, restarts = restarting(tmp_path, Clock(), linux=False)
    told = []
    for _ in range(3):
        log.feed(b"booting\r\n")
        told.append(restarts.restarted(by_guest=True))
        restarts.begin()
    assert told == ["", "", "it restarted 3 times without becoming ready"]
    log.close()


def test_firmware_may_restart_silently_for_a_moment_only(tmp_path: Path) -> None:
    clock = Clock()
    log, restarts = restarting(tmp_path, clock, linux=True)
    for _ in range(40):
        assert restarts.restarted(by_guest=True) == ""
        restarts.begin()
        clock.now += 0.01
    clock.now += 10
    assert "over and over" in restarts.restarted(by_guest=True)
    log.close()


def test_a_restart_that_was_asked_for_ends_the_wait_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        log, restarts = restarting(tmp_path, Clock(), linux=True)
        restarts.ready()
        asked = restarts.ask()
        assert restarts.restarted(by_guest=True) == ""
        assert asked.done()
        restarts.begin()
        restarts.ready()
        assert restarts.restarted(by_guest=True) != ""
        log.close()

    asyncio.run(story())


def test_chords_go_down_in_order_and_up_in_reverse() -> None:
    events = press_events(KeyPress(("ctrl", "alt", "delete")))
    assert [(e["data"]["key"]["data"], e["data"]["down"]) for e in events] == [
        ("ctrl", True),
        ("alt", True),
        ("delete", True),
        ("delete", False),
        ("alt", False),
        ("ctrl", False),
    ]


def test_ps2_queues_are_counted_in_bytes() -> None:
    assert [ps2_bytes(key) for key in ("a", "delete", "pause")] == [1, 2, 6]


def test_places_stay_on_the_screen() -> None:
    ((x, y),) = pointer_events(PointerEvent("move", -1.0, 2.0))
    assert (x["data"]["value"], y["data"]["value"]) == (0, 32767)
    assert len(pointer_events(PointerEvent("wheel", button="wheel-down"))) == 2


@pytest.mark.parametrize(
    "wrong", [PointerEvent("down", button="sixth"), PointerEvent("fly")]
)
def test_what_no_pointer_does_is_refused(wrong: PointerEvent) -> None:
    with pytest.raises(ValueError, match=r"sixth|fly"):
        pointer_events(wrong)


def test_secrets_and_bulk_stay_out_of_the_journal() -> None:
    def mask(text: str) -> str:
        return text.replace("hunter2", "***")

    arguments = {
        "arg": ["-p", "hunter2"],
        "input-data": "aHVudGVyMg==",
        "hunter2": {"n": 1, "ok": True, "none": None},
        "odd": Path("/x"),
    }
    assert masked(arguments, mask) == {
        "arg": ["-p", "***"],
        "input-data": "<9 bytes>",
        "***": {"n": 1, "ok": True, "none": None},
        "odd": "/x",
    }
    assert len(masked("x" * 5000, mask)) == 1001


def test_a_trace_is_masked_and_a_full_disk_ends_only_it(tmp_path: Path) -> None:
    trace = TraceFile(tmp_path / "trace", lambda t: t.replace("hunter2", "***"))
    trace("--> hunter2")
    trace.close()
    assert (tmp_path / "trace").read_text().endswith("--> ***\n")
    (tmp_path / "full").symlink_to("/dev/full")
    full = TraceFile(tmp_path / "full", str)
    full("--> x")
    full("--> y")
    full.close()


def test_a_ppm_becomes_the_same_picture_as_png() -> None:
    pixels = bytes(range(3 * 2 * 3))
    png = png_from_ppm(b"P6\n3 2\n255\n" + pixels)
    assert png_size(png) == (3, 2)
    begin = png.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", png[begin - 8 : begin - 4])
    raw = zlib.decompress(png[begin : begin + length])
    assert raw == b"\0" + pixels[:9] + b"\0" + pixels[9:]


@pytest.mark.parametrize("picture", [b"", b"P5 1 1 255 x", b"P6 9 9 255 short"])
def test_what_is_no_picture_is_told(picture: bytes) -> None:
    with pytest.raises(PlatformError, match="screen dump"):
        png_from_ppm(picture)
