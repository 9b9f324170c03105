"""What ray_job.sh and local.sh hand on, with a program in place of Ray or toolrl that writes its arguments down.

A real job is in tests/cluster/test_ray_job.py.
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"


@pytest.fixture
def submit(tmp_path):
    """Run ray_job.sh in a folder with odd letters in its name, and return how it ended and what `ray` was given."""
    folder = tmp_path / "it's work"
    folder.mkdir()
    got = tmp_path / "got"
    ray = tmp_path / "ray"
    ray.write_text(f"#!/bin/bash\nprintf '%s\\0' \"$@\" > {got}\n")
    ray.chmod(0o755)

    def run(*arguments, **settings):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        environment = clean | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)} | settings
        done = subprocess.run(
            ["bash", LAUNCH / "ray_job.sh", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=20
        )
        return done, got.read_text().split("\0")[:-1] if got.exists() else None

    return run


def test_the_job_runs_the_command_in_the_folder_it_was_submitted_from(submit, tmp_path):
    done, got = submit("--no-wait", RAY_AUTH_TOKEN="secret")
    assert done.returncode == 0, done.stderr
    at = got.index("--")
    assert got[at - 1] == "--no-wait"
    assert json.loads(got[got.index("--runtime-env-json") + 1]) == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "360"}}
    assert got[at + 1 : at + 3] == ["bash", "-c"]
    toolrl = tmp_path / "toolrl"
    toolrl.write_text('#!/bin/bash\npwd\nprintf "%s " "$@"\n')
    toolrl.chmod(0o755)
    entrypoint = shlex.join(got[at + 1 :])  # as Ray joins it for a shell
    ran = subprocess.run(entrypoint, shell=True, cwd="/", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True)
    assert ran.stdout == f"{tmp_path}/it's work\nrl conf/tool_n1_7b.yaml cluster.address=auto "


def test_no_token_is_among_the_arguments(submit):
    _, got = submit(RAY_AUTH_TOKEN="secret")
    assert not [word for word in got if "secret" in word]


def test_without_a_token_nothing_is_submitted(submit):
    done, got = submit()
    assert (done.returncode, got) == (2, None)
    assert done.stderr == "ray_job.sh: no token: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to that of the cluster\n"


@pytest.mark.parametrize(("mode", "code"), [(0o600, 0), (0o400, 0), (0o640, 2), (0o604, 2)])
def test_a_token_is_taken_from_a_file_that_only_its_owner_reads(submit, tmp_path, mode, code):
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(mode)
    done, got = submit()
    assert done.returncode == code
    assert (got is None) == bool(code)
    assert (f"chmod 600 {token}" in done.stderr) == bool(code)


def test_a_cluster_without_a_token_is_asked_without_one(submit):
    done, _ = submit(RAY_AUTH_MODE="disabled")
    assert done.returncode == 0, done.stderr


def test_this_machine_runs_the_same_command(tmp_path):
    toolrl = tmp_path / "toolrl"
    toolrl.write_text('#!/bin/bash\nprintf "%s " "$@"\nexit 75\n')
    toolrl.chmod(0o755)
    done = subprocess.run(
        ["bash", LAUNCH / "local.sh", "run.steps=3"], env=os.environ | {"BIN": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (75, "rl conf/demo.yaml cluster.address=local run.steps=3 ")
