"""How much memory there is: the host's, less where a control group allows less."""

from pathlib import Path

from vmsuite.host_memory import available_memory

GIB = 1 << 30


def host(folder: Path, kib: int, cgroup: str = "0::/\n") -> None:
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/meminfo").write_text(
        f"MemTotal: {kib * 2} kB\nMemAvailable:   {kib} kB\n"
    )
    (folder / "proc/self/cgroup").write_text(cgroup)


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def available(folder: Path) -> int:
    return available_memory(folder / "proc", folder / "cgroup")


def test_it_is_what_the_host_has_available(tmp_path: Path) -> None:
    host(tmp_path, 4 << 20)
    assert available(tmp_path) == 4 * GIB


def test_a_group_above_ours_may_allow_less(tmp_path: Path) -> None:
    host(tmp_path, 4 << 20, "0::/above/ours\n")
    group(
        tmp_path / "cgroup/above",
        memory__max=f"{2 * GIB}\n",
        memory__current=f"{GIB}\n",
        memory__stat=f"anon 1\ninactive_file {GIB // 2}\n",
    )
    group(
        tmp_path / "cgroup/above/ours",
        memory__max="max\n",
        memory__current=f"{GIB}\n",
        memory__stat="anon 1\n",
    )
    assert available(tmp_path) == 3 * GIB // 2


def test_a_container_sees_its_own_group_at_the_mount(tmp_path: Path) -> None:
    host(tmp_path, 4 << 20, "4:memory:/docker/1234\n0::/\n")
    group(
        tmp_path / "cgroup/memory",
        memory__limit_in_bytes=f"{GIB}\n",
        memory__usage_in_bytes="0\n",
        memory__stat="total_inactive_file 0\n",
    )
    assert available(tmp_path) == GIB


def test_a_group_that_used_up_its_share_leaves_nothing(tmp_path: Path) -> None:
    host(tmp_path, 4 << 20)
    group(
        tmp_path / "cgroup", memory__max="1000", memory__current="2000", memory__stat=""
    )
    assert available(tmp_path) == 0


def test_a_host_that_does_not_say_has_none(tmp_path: Path) -> None:
    assert available(tmp_path) == 0


def test_this_host_has_some() -> None:
    assert available_memory() > 0
