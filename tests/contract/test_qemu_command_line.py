"""QEMU's command line says what the machine's spec says, and nothing is unescaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vmsuite_plugins.drivers.qemu.agent_door import AgentDoor
from vmsuite_plugins.drivers.qemu.command_line import (
    Blueprint,
    Connections,
    command_line,
)

CONNECTIONS = Connections(monitor=11, console=12, agent=13, native=14)


def argv_of(**fields: Any) -> list[str]:
    blueprint = Blueprint(
        **{
            "name": "vm",
            "binary": Path("/usr/bin/qemu"),
            "machine": "q35",
            "accel": "tcg",
            "memory": 192 << 20,
            **fields,
        }
    )
    return command_line(blueprint, CONNECTIONS)


def values(argv: list[str], option: str) -> list[str]:
    return [argv[at + 1] for at, word in enumerate(argv) if word == option]


def test_a_plain_machine_waits_to_be_told_and_has_no_defaults() -> None:
    argv = argv_of()
    assert argv[0] == "/usr/bin/qemu"
    assert {"-S", "-nodefaults", "-no-user-config"} <= set(argv)
    assert values(argv, "-display") == ["none"]
    assert values(argv, "-m") == ["size=196608K"]
    assert "socket,id=monitor,fd=11" in values(argv, "-chardev")
    assert "socket,id=console,fd=12" in values(argv, "-chardev")


def test_commas_in_names_and_paths_are_no_options() -> None:
    argv = argv_of(
        name="vm,debug-threads=on",
        iso=Path("/a,file.locking=off.iso"),
        channels={"c": Path("/run/c,reconnect=1")},
    )
    assert values(argv, "-name") == ["guest=vm,,debug-threads=on"]
    assert any(
        v.endswith("file=/a,,file.locking=off.iso") for v in values(argv, "-drive")
    )
    assert any("path=/run/c,,reconnect=1" in v for v in values(argv, "-chardev"))


def test_the_network_is_closed_unless_the_suite_says_so() -> None:
    (card,) = values(argv_of(forwards=(7, 80)), "-netdev")
    assert card == (
        "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:7,hostfwd=tcp:127.0.0.1:0-:80"
    )
    assert values(argv_of(network="user"), "-netdev") == ["user,id=net0,restrict=off"]
    assert values(argv_of(network="none"), "-netdev") == []


def test_a_guest_finds_the_agents_and_no_token_is_on_the_command_line() -> None:
    door = AgentDoor(
        folder=Path("/run/a b,c"),
        kinds=frozenset({"web", "tcp"}),
        token="secret",  # noqa: S106 - it is what must not show
        python="/py thon",
        relay="/relay.py",
    )
    argv = argv_of(door=door)
    (card,) = values(argv, "-netdev")
    relay = "'/py thon' -I -S /relay.py"
    assert card == (
        "user,id=net0,restrict=on"
        f",guestfwd=tcp:10.0.2.100:8765-cmd:{relay} '/run/a b,,c/web'"
        f",guestfwd=tcp:10.0.2.100:8766-cmd:{relay} '/run/a b,,c/tcp'"
    )
    assert values(argv, "-fw_cfg") == [
        f"name=opt/org.vmsuite/{name},file=/run/a b,,c/{name}"
        for name in ("web-agent", "agent-token", "agent-address")
    ]
    assert "secret" not in " ".join(argv)
    assert "secret" not in repr(door)
    assert "guestfwd" not in " ".join(argv_of())


def test_disks_are_overlays_by_descriptor() -> None:
    argv = argv_of(overlays=(21, 22))
    assert values(argv, "-add-fd") == ["fd=21,set=21", "fd=22,set=22"]
    assert [v for v in values(argv, "-drive") if "fdset" in v] == [
        f"if=none,id=disk{n}-drive,format=qcow2,cache=unsafe,discard=unmap,"
        f"auto-read-only=off,file=/dev/fdset/{fd}"
        for n, fd in enumerate((21, 22))
    ]


def test_firmware_gets_the_machines_own_variables() -> None:
    argv = argv_of(firmware_code=Path("/code.fd"), firmware_variables=23)
    drives = [v for v in values(argv, "-drive") if "pflash" in v]
    assert drives[0].endswith("readonly=on,file=/code.fd")
    assert drives[1].endswith("unit=1,auto-read-only=off,file=/dev/fdset/23")


def test_every_keyboard_and_pointer_has_its_device() -> None:
    devices = values(argv_of(keyboard="usb", pointer="usb-tablet"), "-device")
    assert devices.index("qemu-xhci,id=usb0") < devices.index("usb-kbd,bus=usb0.0")
    assert "usb-tablet,bus=usb0.0" in devices
    devices = values(argv_of(keyboard="virtio", pointer="virtio-tablet"), "-device")
    assert {"virtio-keyboard-pci", "virtio-tablet-pci"} <= set(devices)
    plain = values(argv_of(), "-device")
    assert not [d for d in plain if "kbd" in d or "tablet" in d or "keyboard" in d]


def test_a_machine_without_agent_has_no_agents_port() -> None:
    with_agent = " ".join(argv_of())
    assert "org.qemu.guest_agent.0" in with_agent
    assert "fd=13" in with_agent
    without = " ".join(argv_of(agent=False))
    assert "guest_agent" not in without
    assert "virtio-serial" not in without


def test_own_arguments_come_last() -> None:
    assert argv_of(qemu_args=("-device", "intel-hda"))[-2:] == ["-device", "intel-hda"]
