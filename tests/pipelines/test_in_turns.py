"""A real run in which engines and learner take turns: every part of it but the sleep itself, which no CPU can do (`in_turns`)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

STEPS = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of two batches with a checkpoint after each."""
    folder = tmp_path_factory.mktemp("turns") / "run"
    settings = (
        "conf/demo.yaml", f"run.steps={STEPS}", "loop.prompts_per_batch=8", "sampling.n=4", "eval.prompts=8", "eval.every=0",
        "checkpoint.every=1", "learner.minibatches=2", "algo.kl_coef=1e-3", "reward.workers=1", f"run.dir={folder}",
    )  # fmt: skip
    command = [sys.executable, str(Path(__file__).with_name("in_turns.py")), "rl", *settings]
    done = subprocess.run(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_learner_that_comes_and_goes_trains_pushes_and_is_probed(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["version"] for row in rows] == list(range(STEPS + 1))
    assert all(row["weights/parity_max_abs_dlogp"] <= 1e-4 for row in rows)
    assert all(row["weights/wake_s"] > 0 and row["weights/leave_s"] > 0 for row in rows)
    assert all(row["learner/turn_s"] > 0 and row["learner/grad_norm"] > 0 for row in rows[1:])


def test_checkpoints_are_written_in_the_learners_turn_and_the_model_at_the_end(run):
    assert {path.name for path in (run / "checkpoints").glob("version-*")} == {"version-00000001", "version-00000002"}
    assert (run / "final" / "model.safetensors").is_file()
