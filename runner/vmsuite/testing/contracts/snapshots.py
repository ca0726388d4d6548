"""What snapshots must do: bring back the whole machine, as often as one likes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmsuite.errors import CheckFailed, GuestCrashed, PlatformError
from vmsuite.ports import (
    STATE_FILE,
    Machine,
    Power,
    Saving,
    Shell,
    Snapshots,
)
from vmsuite.testing.contracts.machine import reason_of_loss
from vmsuite.testing.contracts.stand import Stand

_PATH = "/tmp/vmsuite-snapshot"  # noqa: S108 - in the guest


class SnapshotsContract:
    """A machine that goes back; it runs and is ready before and after each test.

    Provide ``crash`` (make the guest's kernel panic).
    """

    async def crash(self, machine: Machine) -> None:
        """Make the guest's kernel panic; return without waiting for it."""
        raise NotImplementedError

    def test_a_guest_is_again_what_it_was_as_often_as_wanted(
        self, stand: Stand
    ) -> None:
        """What was written since is gone, and the guest can be used."""
        shell, snapshots = stand.capability(Shell), stand.capability(Snapshots)

        async def story() -> list[bytes]:
            await shell.put_file(b"before", _PATH, 0o644)
            await snapshots.save("twice")
            seen = [await shell.get_file(_PATH)]
            for _ in range(2):
                await shell.put_file(b"after", _PATH, 0o644)
                await snapshots.restore("twice")
                seen.append(await shell.get_file(_PATH))
            return seen

        assert stand.run(story()) == [b"before"] * 3
        assert stand.run(stand.capability(Power).status()) == "running"
        assert stand.run(reason_of_loss(stand.machine)) is None
        stand.run(stand.machine.ready(), limit=5)

    def test_each_name_is_a_state_of_its_own_and_the_last_counts(
        self, stand: Stand
    ) -> None:
        """One may go back and forth between them."""
        shell, snapshots = stand.capability(Shell), stand.capability(Snapshots)

        async def story() -> list[bytes]:
            seen = []
            for name, content in (("a", b"0"), ("b", b"1"), ("a", b"2")):
                await shell.put_file(content, _PATH, 0o644)
                await snapshots.save(name)
            for name in ("b", "a", "b"):
                await snapshots.restore(name)
                seen.append(await shell.get_file(_PATH))
            return seen

        assert stand.run(story()) == [b"1", b"2", b"1"]

    def test_an_unknown_name_changes_nothing(self, stand: Stand) -> None:
        """The suite is wrong, so the step fails, and says what was asked for."""
        shell, snapshots = stand.capability(Shell), stand.capability(Snapshots)

        async def story() -> bytes:
            await shell.put_file(b"untouched", _PATH, 0o644)
            with pytest.raises(CheckFailed, match="'never-saved'"):
                await snapshots.restore("never-saved")
            return await shell.get_file(_PATH)

        assert stand.run(story()) == b"untouched"

    def test_what_is_off_cannot_be_saved_but_comes_back(self, stand: Stand) -> None:
        """Going back is a way to power it on."""
        power, snapshots = stand.capability(Power), stand.capability(Snapshots)

        async def story() -> str:
            await snapshots.save("on")
            await power.destroy()
            with pytest.raises(PlatformError):
                await snapshots.save("off")
            await snapshots.restore("on")
            return await power.status()

        assert stand.run(story()) == "running"

    def test_a_paused_machine_comes_back_paused(self, stand: Stand) -> None:
        """It is as it was, in this too."""
        power, snapshots = stand.capability(Power), stand.capability(Snapshots)

        async def story() -> list[str]:
            await power.pause()
            await snapshots.save("paused")
            await snapshots.save("paused")
            seen = [await power.status()]
            await power.resume()
            await snapshots.restore("paused")
            seen.append(await power.status())
            await power.resume()
            await stand.machine.ready()
            await stand.capability(Shell).put_file(b"awake", _PATH, 0o644)
            return [*seen, await power.status()]

        assert stand.run(story()) == ["paused", "paused", "running"]

    def test_a_crash_is_undone_and_forgotten(self, stand: Stand) -> None:
        """The guest of before has not crashed; another crash is told again."""
        shell, snapshots = stand.capability(Shell), stand.capability(Snapshots)

        async def story() -> list[Exception]:
            await shell.put_file(b"alive", _PATH, 0o644)
            await snapshots.save("alive")
            losses = []
            for _ in range(2):
                await self.crash(stand.machine)
                losses.append(await stand.machine.lost())
                await snapshots.restore("alive")
                assert await shell.get_file(_PATH) == b"alive"
            return losses

        losses = stand.run(story())
        assert all(isinstance(loss, GuestCrashed) for loss in losses)
        assert losses[0] is not losses[1]
        assert stand.run(reason_of_loss(stand.machine)) is None
        assert stand.run(stand.capability(Power).status()) == "running"


class SavingContract:
    """A machine whose state is written into files; it runs before and after."""

    def test_its_files_name_the_driver_and_the_guest_runs_on(
        self, stand: Stand, tmp_path: Path
    ) -> None:
        """``run-suite debug`` finds by that name who can let it go on."""
        folder = tmp_path / "state"
        folder.mkdir()
        stand.run(stand.capability(Saving).save_to(folder))
        about = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        assert about["driver"] == stand.machine.facts["driver"]
        assert stand.run(stand.capability(Power).status()) == "running"
        stand.run(stand.capability(Shell).put_file(b"on", _PATH, 0o644))

    def test_what_is_off_cannot_be_saved(self, stand: Stand, tmp_path: Path) -> None:
        """There is nothing to look at."""
        power = stand.capability(Power)
        stand.run(power.destroy())
        with pytest.raises(PlatformError):
            stand.run(stand.capability(Saving).save_to(tmp_path), limit=30)
        stand.run(power.start())
