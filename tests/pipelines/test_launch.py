"""`toolrl launch`: every shipped configuration is checked and printed; a mistake is told before anything waits in a queue."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from toolrl.cli.main import main

sys.path.insert(0, str(Path(__file__).parents[1] / "launch"))
from kuberay import refused

CONF = Path(__file__).parents[2] / "conf"
NODES = {"tool_n1_7b": 4, "tool_n1_14b": 4}
EVERY_FILE = pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def _nothing_hangs_on_where_the_tests_run(monkeypatch, tmp_path):
    """A checkout may lie in memory, and have a run of the demo with other settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("toolrl.pipelines.launching.folders._MEMORY", frozenset())
    monkeypatch.setattr("toolrl.pipelines.launching.folders._TEMPORARY", (Path("/dev/shm"),))


def arguments(target, file, *more):
    command = ("--command", "sft") if file.stem.endswith("_sft") else ()
    return ["launch", target, str(file), "--nodes", str(NODES.get(file.stem, 1)), *command, *more]


@EVERY_FILE
def test_every_configuration_has_its_batch_script(file, capsys, tmp_path):
    assert main(arguments("slurm", file, "--dry-run")) == 0
    out, err = capsys.readouterr()
    assert out.startswith("#!/usr/bin/env bash\n")
    assert "short 0" in err
    subprocess.run(["bash", "-n"], input=out, text=True, check=True)


@EVERY_FILE
def test_every_configuration_has_its_ray_job(file, capsys):
    assert main(arguments("ray-job", file, "--dry-run")) == 0
    subprocess.run(["bash", "-n"], input=capsys.readouterr().out, text=True, check=True)


@EVERY_FILE
def test_every_configuration_has_its_manifest(file, capsys):
    assert main(arguments("k8s", file, "--dry-run")) == 0
    (job,) = yaml.safe_load_all(capsys.readouterr().out)
    assert refused(job) == []
    assert str(file.name) in job["spec"]["entrypoint"]


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("more", ["", " on cluster west"])
def test_a_job_is_handed_to_sbatch_and_what_comes_next_is_told(tmp_path, monkeypatch, capsys, more):
    program(tmp_path, "sbatch", f"cat > {tmp_path}/got; echo Submitted batch job 4711{more}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert main(["launch", "slurm", "conf/demo.yaml"]) == 0
    out, err = capsys.readouterr()
    assert out == f"Submitted batch job 4711{more}\n"
    assert "tail -F demo-4711.log" in err
    assert (tmp_path / "got").read_text().startswith("#!/usr/bin/env bash\n")


def test_the_job_that_kubernetes_made_is_named(tmp_path, monkeypatch, capsys):
    program(tmp_path, "kubectl", "cat >/dev/null; echo configmap/a-settings created; echo rayjob.ray.io/a-1 created")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert main(["launch", "k8s", "conf/demo.yaml", "--image", "here/toolrl:1"]) == 0
    assert "end: kubectl delete rayjob a-1" in capsys.readouterr().err


def test_what_the_scheduler_refuses_is_told_and_ends_with_1(tmp_path, monkeypatch, capsys):
    program(tmp_path, "kubectl", "echo 'no matches for kind RayJob' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert main(["launch", "k8s", "conf/demo.yaml", "--image", "here/toolrl:1"]) == 1
    assert "did not take the job: no matches for kind RayJob" in capsys.readouterr().err


def test_a_token_that_others_may_read_is_the_users_mistake(tmp_path, monkeypatch, capsys):
    token = tmp_path / "token"
    token.write_text("x" * 64)
    token.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    assert main(["launch", "ray-job", "conf/demo.yaml"]) == 2
    assert f"others may read {token}: chmod 600 {token}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["slurm", "conf/tool_n1_7b.yaml", "--nodes", "2"], "asked 32, there 16, short 16"),
        (["slurm", "conf/demo.yaml", "--image", "x"], "--image: slurm starts no containers"),
        (["k8s", "conf/demo.yaml"], "--image: name the image"),
        (["slurm", "conf/demo.yaml", "run.dir=/dev/shm/run"], "run.dir: got /dev/shm/run, which only this machine has"),
        (["slurm", "conf/demo.yaml", "--time", "soon"], "--time: got 'soon'"),
        (["slurm", "conf/demo.yaml", "--network", "token-ring"], "--network: got 'token-ring'"),
        (["slurm", "conf/demo.yaml", "run.stepz=3"], "did you mean 'run.steps'?"),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_to_do(given, told, capsys):
    assert main(["launch", *given]) == 2
    assert told in capsys.readouterr().err


def test_a_machine_without_the_scheduler_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["launch", "slurm", "conf/demo.yaml"]) == 2
    assert "sbatch: not on this machine; `toolrl launch slurm … --dry-run` prints the file" in capsys.readouterr().err


def test_it_starts_without_the_stack():
    code = (
        "import sys, toolrl.pipelines.launch; print([m for m in ('torch', 'ray', 'vllm', 'deepspeed', 'transformers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
