"""What a killed run can leave of QEMU's machines beside its processes."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from vmsuite.ports import Sweeping
from vmsuite_plugins.drivers.qemu.driver import QemuDriver


def test_half_made_templates_go_with_their_makers_only(tmp_path: Path) -> None:
    driver: object = QemuDriver()
    assert isinstance(driver, Sweeping)
    assert list(driver.sweep("some-run", tmp_path)) == []
    folder = tmp_path / "templates/qemu"
    abandoned, being_made = folder / ".making-a", folder / ".making-b"
    for path in (abandoned, being_made, folder / "whole"):
        path.mkdir(parents=True)
        (path / "ram").touch()
        (path / "maker").touch()
    maker = os.open(being_made / "maker", os.O_RDWR)
    try:
        fcntl.flock(maker, fcntl.LOCK_EX)
        assert list(driver.sweep("some-run", tmp_path)) == [
            "half-made template .making-a"
        ]
        assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
            ".making-b",
            "whole",
        ]
    finally:
        os.close(maker)
    assert len(driver.sweep("some-run", tmp_path)) == 1
    assert not being_made.exists()
