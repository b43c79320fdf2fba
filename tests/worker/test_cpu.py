"""CPU sources, on made-up file trees as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.worker.cpu import CpuGauge, ModelCpu, ProcStat, find_cpu_source
from services.worker.machine import TYPES, Machine


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def proc_stat(root: Path, *, user: int = 0, idle: int = 0, steal: int = 0) -> None:
    write(root, "proc/stat", f"cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 2 3\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    proc_stat(tmp_path)
    return tmp_path


def gauge_of(root: Path) -> CpuGauge:
    return CpuGauge(find_cpu_source(root))


def test_proc_stat_gives_use_and_steal(root: Path) -> None:
    gauge = gauge_of(root)
    assert gauge.source == "proc-stat"
    gauge.sample(0.0)
    assert gauge.utilization is None
    proc_stat(root, user=30, idle=60, steal=10)
    gauge.sample(1.0)
    assert gauge.utilization == pytest.approx(30 / 90)
    assert gauge.steal == pytest.approx(0.1)


def test_cgroup_v2_is_measured_against_its_quota(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/\n")
    write(root, "sys/fs/cgroup/cpu.max", "20000 100000\n")
    write(root, "sys/fs/cgroup/cpu.stat", "usage_usec 1000000\nuser_usec 1\n")
    gauge = gauge_of(root)
    assert gauge.source == "cgroup-v2"
    gauge.sample(10.0)
    write(root, "sys/fs/cgroup/cpu.stat", "usage_usec 1100000\nuser_usec 1\n")
    proc_stat(root, idle=75, steal=25)
    gauge.sample(11.0)
    assert gauge.utilization == pytest.approx(0.5)  # 0.1 s of the 0.2 s it may use
    assert gauge.steal == pytest.approx(0.25)


def test_cgroup_v2_of_a_plain_process_is_found_by_its_path(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/slice/worker\n")
    write(root, "sys/fs/cgroup/slice/worker/cpu.max", "max 100000\n")
    write(root, "sys/fs/cgroup/slice/cpu.max", "50000 100000\n")
    write(root, "sys/fs/cgroup/slice/cpu.stat", "usage_usec 0\n")
    source = find_cpu_source(root)
    assert source is not None
    assert (source.name, source.read(2.0).usable_s) == ("cgroup-v2", 1.0)


def test_cgroup_v1_is_measured_against_its_quota(root: Path) -> None:
    write(root, "proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/x\n")  # the host's path
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n")
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    write(root, "sys/fs/cgroup/cpuacct/cpuacct.usage", "0\n")
    gauge = gauge_of(root)
    assert gauge.source == "cgroup-v1"
    gauge.sample(0.0)
    write(root, "sys/fs/cgroup/cpuacct/cpuacct.usage", "1500000000\n")
    gauge.sample(2.0)
    assert gauge.utilization == pytest.approx(0.5)


@pytest.mark.parametrize("quota", ["max 100000", "nonsense", ""])
def test_without_a_quota_the_whole_machine_counts(root: Path, quota: str) -> None:
    write(root, "proc/self/cgroup", "0::/\n")
    write(root, "sys/fs/cgroup/cpu.max", quota)
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert gauge_of(root).source == "proc-stat"


def test_a_path_out_of_the_mount_is_not_followed(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/../elsewhere\n")
    write(root, "sys/fs/elsewhere/cpu.max", "20000 100000\n")
    write(root, "sys/fs/elsewhere/cpu.stat", "usage_usec 0\n")
    assert gauge_of(root).source == "proc-stat"


def test_no_source_is_said_so(tmp_path: Path) -> None:
    gauge = gauge_of(tmp_path)
    gauge.sample(0.0)
    gauge.sample(1.0)
    assert (gauge.source, gauge.utilization, gauge.steal) == ("none", None, None)


def test_samples_too_close_together_are_not_taken(root: Path) -> None:
    gauge = gauge_of(root)
    gauge.sample(0.0)
    proc_stat(root, user=1, idle=1)
    gauge.sample(0.1)
    assert gauge.utilization is None


def test_this_machine_can_be_read() -> None:
    counters = ProcStat().read(0.0)
    assert 0 < counters.used_s <= counters.usable_s <= counters.total_s


def test_the_model_reports_throttling_as_steal() -> None:
    machine = Machine(TYPES["t2.micro"], 0.0, credits=0)
    machine.arrive(0.0, 100.0)
    gauge = CpuGauge(ModelCpu(machine, 0.0))
    gauge.sample(0.0)
    gauge.sample(10.0)
    assert gauge.source == "model"
    assert gauge.utilization == pytest.approx(1.0)  # all that it may use
    assert gauge.steal == pytest.approx(0.9)
