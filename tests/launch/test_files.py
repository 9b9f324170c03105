"""The files of launch/: short, sound by themselves, each ending in the same command; none with a secret on a command line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from kuberay import refused

LAUNCH = Path(__file__).parents[2] / "launch"
FILES = sorted(LAUNCH.iterdir())
SCRIPTS = [path for path in FILES if path.suffix != ".yaml"]
SBATCH = {  # options of sbatch 22.05 and later that a directive here may have, and whether they want a value
    "job-name": True, "nodes": True, "gpus-per-node": True, "cpus-per-task": True, "time": True, "signal": True, "ntasks-per-node": True,
    "mem": True, "exclusive": False, "requeue": False, "open-mode": True, "output": True,
}  # fmt: skip


def test_there_is_one_for_each_way():
    assert [path.name for path in FILES] == ["kuberay.yaml", "local.sh", "ray_job.sh", "slurm.sbatch"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_is_short_and_ships_with_the_package(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) <= 145
    assert (Path(__file__).parents[2] / "toolrl" / "_launch" / path.name).read_text() == text


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_each_script_is_sound(path):
    subprocess.run(["bash", "-n", path], check=True)
    assert "set -euo pipefail" in path.read_text()
    if shutil.which("shellcheck"):
        found = subprocess.run(["shellcheck", "--severity=warning", "--shell=bash", path], capture_output=True, text=True)
        assert found.stdout == ""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_each_script_runs_the_same_command(path):
    assert '"$COMMAND" "${SETTINGS[@]}"' in path.read_text()
    assert "cluster.address=" in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_token_is_an_argument(path):
    for line in path.read_text().splitlines():
        if not line.lstrip().startswith("#") and "RAY_AUTH_TOKEN" in line:
            assert line.startswith(("RAY_AUTH_TOKEN=$(", "export RAY_AUTH_MODE", "token=${RAY_AUTH_TOKEN_PATH", "if [[", "  [[ -r")), line


def test_the_manifest_is_what_kuberay_knows():
    (job,) = yaml.safe_load_all((LAUNCH / "kuberay.yaml").read_text())
    assert refused(job) == []
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_directives_are_options_that_sbatch_has():
    lines = (LAUNCH / "slurm.sbatch").read_text().splitlines()
    directives = [line.removeprefix("#SBATCH --").partition("=") for line in lines if line.startswith("#SBATCH")]
    assert {name: bool(value) for name, _, value in directives} == SBATCH
    first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert not [line for line in lines[first_command:] if line.startswith("#SBATCH")], "Slurm reads none behind the first command"
