"""Crashes are seen in real reports of kernels, and nowhere else."""

from __future__ import annotations

import pytest

from vmsuite_plugins.protocols.kernel_crash import CrashWatch

PANIC = """\
[    5.101112] sysrq: Trigger a crash
[    5.101901] Kernel panic - not syncing: sysrq triggered crash
[    5.102617] CPU: 0 PID: 94 Comm: sh Not tainted 6.1.0-18-amd64 #1
[    5.103500] Call Trace:
[    5.109996] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---
"""
OOPS = """\
[   12.345678] BUG: kernel NULL pointer dereference, address: 0000000000000000
[   12.345679] #PF: supervisor write access in kernel mode
[   12.345681] Oops: 0002 [#1] PREEMPT SMP NOPTI
[   12.345682] CPU: 0 PID: 7 Comm: kworker Not tainted 6.1.0 #1
"""
REPORTS = {
    "panic": (PANIC, "sysrq triggered crash"),
    "oops": (OOPS, "NULL pointer"),
    "caller-id": (PANIC.replace("] ", "][    T1] "), "sysrq triggered crash"),
    "soft-lockup": (
        "[   28.1] x\n[   28.000001] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!\n",
        "soft lockup",
    ),
    "hard-lockup": (
        "[   28.000001] NMI watchdog: Watchdog detected hard LOCKUP on cpu 1\n",
        "hard LOCKUP",
    ),
    "hung-task": (
        "[  242.000001] INFO: task dd:99 blocked for more than 120 seconds.\n",
        "task dd:99",
    ),
    "rcu-stall": (
        "[   60.000001] rcu: INFO: rcu_preempt self-detected stall on CPU\n",
        "self-detected",
    ),
    "kasan": (
        "[    3.000001] BUG: KASAN: slab-out-of-bounds in f+0x1/0x2 [mod]\n",
        "KASAN",
    ),
    "kernel-bug": ("[    3.000001] kernel BUG at mm/slub.c:42!\n", "mm/slub.c"),
    "gpf": (
        "[    3.000001] general protection fault, probably for: 0000 [#1] SMP\n",
        "general protection",
    ),
    "divide": ("[    3.000001] divide error: 0000 [#1] SMP NOPTI\n", "divide error"),
    "arm64": (
        "[    3.000001] Unable to handle kernel paging request at virtual address 0\n",
        "paging request",
    ),
    "behind-a-prompt": ("tiny-linux:/root# " + OOPS, "NULL pointer"),
    "without-stamps": (
        "Kernel panic - not syncing: Attempted to kill init!\nCPU: 0 PID: 1 Comm: x\n",
        "Attempted to kill init",
    ),
}
INNOCENT = {
    "typed": "~ # echo Kernel panic - not syncing\n",
    "echoed": "Kernel panic - not syncing: just testing the message\nok\n",
    "echoed-with-stamp": "~ # echo '[    5.101901] BUG: what is this'\nfine\n",
    "log-of-a-program": "test 3: BUG: 17 is still open\ntest 4: ok\n",
    "word-in-a-line": "[    1.000001] systemd[1]: Starting Kernel panic handler\n",
    "debug": "[    1.000001] DEBUG: all is well\n",
    "panic-parameter": "[    0.000001] Command line: quiet panic=0 oops=panic\n",
    "registered": "[    0.500001] rcu: Hierarchical RCU implementation.\n",
    "warning": "[    2.000001] WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2\n",
    "unfinished": "[    5.101901] Kernel panic - not syncing: no line end yet",
}


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_crash_is_seen_however_its_text_arrives(name: str, size: int) -> None:
    text, expected = REPORTS[name]
    watch = CrashWatch()
    for begin in range(0, len(text), size):
        watch.feed(text[begin : begin + size])
    assert expected in watch.crash
    assert "\n" not in watch.crash


@pytest.mark.parametrize("name", INNOCENT)
@pytest.mark.parametrize("size", [1, 10_000])
def test_what_is_no_crash_is_left_alone(name: str, size: int) -> None:
    text = INNOCENT[name]
    watch = CrashWatch()
    for begin in range(0, len(text), size):
        watch.feed(text[begin : begin + size])
    assert watch.crash == ""


def test_the_first_sign_is_kept_until_the_guest_restarts() -> None:
    watch = CrashWatch()
    watch.feed(OOPS)
    watch.feed(PANIC)
    assert "NULL pointer" in watch.crash
    watch.forget()
    assert watch.crash == ""
    watch.feed(PANIC)
    assert "sysrq" in watch.crash


def test_own_patterns_count_wherever_they_stand() -> None:
    watch = CrashWatch(["panicked at", r"^FATAL\b"])
    watch.feed("all is well, not FATAL\n")
    assert watch.crash == ""
    watch.feed("thread main panicked at src/main.rs:1\n")
    assert watch.crash == "thread main panicked at src/main.rs:1"


def test_a_flood_is_read_quickly_and_not_kept() -> None:
    watch = CrashWatch()
    for _ in range(200):
        watch.feed("x" * 70_000)
        watch.feed("y y y\n" * 5000)
    watch.feed("\n" + PANIC)
    assert "sysrq" in watch.crash
    assert len(watch._text) < 1 << 16
