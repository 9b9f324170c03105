"""Presets of NCCL's variables: each with its reason, and read by shells and containers alike."""

import subprocess
from pathlib import Path

import pytest

from toolrl.errors import ConfigError
from toolrl.pipelines.launching.network import preset, presets, variables

SHIPPED = pytest.mark.parametrize("name", sorted(presets()))


def test_there_is_one_for_each_network():
    assert sorted(presets()) == ["efa", "ethernet", "infiniband", "roce"]


@SHIPPED
def test_every_variable_stands_under_its_reason(name):
    lines = preset(name).read_text().splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if line and not line.startswith("#"):
            assert above.startswith(("#", "NCCL_SOCKET_NTHREADS")), line


@SHIPPED
def test_a_shell_reads_what_is_read_here(name):
    read = variables(preset(name))
    assert read["NCCL_DEBUG"] == "WARN"
    script = f'eval "$(sed -n "s/^[A-Z]/export &/p" {preset(name)})"; env'  # the line of slurm.sbatch
    env = subprocess.run(["env", "-i", "/bin/bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {key: value for key, _, value in (line.partition("=") for line in env) if key in read} == read


def test_a_file_of_ones_own_is_read(tmp_path):
    own = tmp_path / "mine.env"
    own.write_text("# why\nNCCL_SOCKET_IFNAME==bond0\n")
    assert variables(preset(str(own))) == {"NCCL_SOCKET_IFNAME": "=bond0"}


@pytest.mark.parametrize("line", ["export A=b", "A='b c'", "A=$(reboot)", "A=`x`", "a=b", "A = b", "A=b;c"])
def test_a_line_that_a_shell_would_run_is_refused(tmp_path, line):
    own = tmp_path / "mine.env"
    own.write_text(f"NCCL_DEBUG=WARN\n{line}\n")
    with pytest.raises(ConfigError, match=r"mine\.env:2: got"):
        variables(own)


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(ConfigError, match="efa, ethernet, infiniband, roce"):
        preset("myrinet")
    assert not Path("myrinet").exists()
