"""Three steps of real RL with the demo's model on two GPUs, from the command line: with GPUs of their own, and taking turns on both."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("two_gpus"), pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
STEPS = 3
COMMON = (
    "cluster.device=cuda", "model.dtype=bfloat16", f"run.steps={STEPS}", "loop.prompts_per_batch=8", "sampling.n=4", "eval.prompts=16",
    "eval.every=0", "checkpoint.every=1", "learner.minibatches=2", "algo.kl_coef=1e-3", "engine.gpu_memory_utilization=0.3",
    "model.gradient_checkpointing=true", "reward.workers=1",
)  # fmt: skip
SHARED = ("cluster.colocated=true", "weights.backend=ipc", "learner.num_ranks=2")
ARRANGEMENTS = {
    "apart, over NCCL": ("weights.backend=nccl", "engine.num=1", "learner.num_ranks=1"),
    "two engines in turns, level 2": (*SHARED, "engine.num=2", "engine.sleep_level=2"),
    "one engine over both in turns, level 1, graphs": (
        *SHARED, "engine.num=1", "engine.tensor_parallel=2", "engine.sleep_level=1", "engine.enforce_eager=false",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=ARRANGEMENTS.items(), ids=list(ARRANGEMENTS))
def run(request, two_gpus, tmp_path_factory):
    """The folder of a finished run, and whether its GPUs were shared."""
    name, settings = request.param
    folder = tmp_path_factory.mktemp("run") / "run"
    command = [sys.executable, "-m", "toolrl", "rl", "conf/demo.yaml", *COMMON, *settings, f"run.dir={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, f"{name}:\n{done.stdout}\n{done.stderr}"
    return folder, "colocated" in " ".join(settings)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_every_version_was_pushed_and_the_engines_agree_with_the_learner(run):
    rows = lines(run[0])
    assert [row["version"] for row in rows] == list(range(STEPS + 1))
    assert all(row["weights/bytes"] > 0 for row in rows)
    assert max(row["weights/parity_mean_abs_dlogp"] for row in rows) < 0.05


def test_what_was_sampled_is_what_the_learner_computes(run):
    rows = [row for row in lines(run[0]) if row["version"]]
    assert max(row["learner/mismatch_mean_abs_dlogp"] for row in rows) < 0.05
    assert all(row["learner/tokens"] > 0 for row in rows)


def test_turns_are_taken_where_gpus_are_shared_and_nowhere_else(run):
    folder, shared = run
    rows = lines(folder)
    assert all(("weights/wake_s" in row) == shared for row in rows)
    assert all(("learner/turn_s" in row) == shared for row in rows if row["version"])


def test_the_model_and_a_checkpoint_are_left(run):
    from transformers import AutoModelForCausalLM

    folder, _ = run
    AutoModelForCausalLM.from_pretrained(folder / "final")
    assert (folder / "checkpoints" / f"version-{STEPS:08d}").is_dir()
