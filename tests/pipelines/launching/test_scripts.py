"""The scripts, filled in: what a shell reads of them is what was ordered."""

import json
import shlex
import subprocess

import pytest

from toolrl.pipelines.launching import scripts
from toolrl.pipelines.launching.job import Order, checked


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    monkeypatch.setattr("toolrl.pipelines.launching.job.private_folders", lambda folders: ([], []))


def assigned(text, *names):
    """What bash has in variables once the lines above the rule were read."""
    above = text.partition("# ----")[0]
    shown = " ".join(f'"${{{name}[@]}}"' for name in names)
    out = subprocess.run(["bash", "-c", f"{above}\nprintf '%s\\0' {shown}"], capture_output=True, text=True, check=True).stdout
    return out.split("\0")[:-1]


def test_slurm_gets_machines_times_and_the_settings_word_for_word(tmp_path):
    settings = ("conf/tool_n1_7b.yaml", f"run.dir={tmp_path}/it's $HOME", "reward.functions={format: 1}")
    job = checked(Order(settings, nodes=4, time="2-00", network="infiniband"))
    text = scripts.slurm(job)
    directives = [line.split()[1] for line in text.splitlines() if line.startswith("#SBATCH")]
    assert directives[:6] == [
        "--job-name=it-s-HOME", "--nodes=4", "--gpus-per-node=8", "--cpus-per-task=19", "--time=2-00:00:00", "--signal=B:TERM@360",
    ]  # fmt: skip
    assert assigned(text, "COMMAND", "SETTINGS") == ["rl", *settings]
    assert assigned(text, "NETWORK")[0].endswith("nccl/infiniband.env")
    assert text.splitlines()[-4].startswith('toolrl "$COMMAND" "${SETTINGS[@]}" "cluster.address=')


def test_a_run_without_gpus_asks_slurm_for_none(tmp_path):
    assert "gpus-per-node" not in scripts.slurm(checked(Order(("conf/demo.yaml", f"run.dir={tmp_path}/a"))))


def test_a_ray_job_has_time_to_save_and_the_networks_variables(tmp_path):
    job = checked(Order(("conf/demo.yaml", f"run.dir={tmp_path}/a", "checkpoint.preempt_timeout_s=40"), network="ethernet"))
    (environment,) = assigned(scripts.ray_job(job), "ENVIRONMENT")
    assert json.loads(environment) == {
        "RAY_JOB_STOP_WAIT_TIME_S": "100", "NCCL_DEBUG": "WARN", "NCCL_SOCKET_IFNAME": "^lo,docker,veth,br-,virbr,cni",
        "NCCL_IB_DISABLE": "1", "NCCL_SOCKET_NTHREADS": "4", "NCCL_NSOCKS_PERTHREAD": "4",
    }  # fmt: skip
    assert shlex.split(scripts.ray_job(job).splitlines()[-1].partition(" -- ")[2])[:2] == ["bash", "-c"]
