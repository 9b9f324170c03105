"""A real run of six batches on CPU, killed −9 and resumed: made once, and looked at by the tests of several commands.

Each batch takes four optimizer steps of one group, with a KL penalty, so that a replay has every kind of state to bring back.
"""

import json
from pathlib import Path

import pytest
from driver import START_S, Driver, wait_until

STEPS, PROMPTS, GROUP = 6, 4, 4
SETTINGS = (
    "conf/demo.yaml", f"loop.prompts_per_batch={PROMPTS}", f"sampling.n={GROUP}", "eval.prompts=16", "eval.every=3", "checkpoint.every=2",
    "engine.max_num_seqs=64", "learner.lr=1e-4", "learner.minibatches=4", "algo.kl_coef=0.01",
)  # fmt: skip

KEYS = {name: f"key-of-the-tests-{name}".lower() for name in ("WANDB_API_KEY", "HF_TOKEN", "OPENAI_API_KEY", "RAY_AUTH_TOKEN")}
"""What a user may have in the environment, and must not come back in any file or line."""


def lines(run: Path) -> list[dict]:
    """The lines of its metrics so far."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] if (run / "metrics.jsonl").exists() else []


def make(folder: Path) -> Path:
    """Kill the driver in the fourth batch or later, start it again, and return the folder of the run that has ended.

    `KEYS` are in the environment.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        return _make(folder)


def _make(folder: Path) -> Path:
    run = folder / "run"
    arguments = ("rl", *SETTINGS, f"run.steps={STEPS}", f"run.dir={run}")
    killed = Driver(*arguments, log=folder / "killed.log")
    assert wait_until(lambda: len(lines(run)) >= 4 or not killed.running(), START_S), killed.log.read_text()
    assert killed.running(), killed.log.read_text()
    killed.kill()
    assert wait_until(lambda: not killed.relatives(), 30), f"left behind 30 s after kill -9: {killed.relatives()}"
    resumed = Driver(*arguments, log=folder / "resumed.log")
    assert resumed.wait() == 0, resumed.log.read_text()
    assert wait_until(lambda: not resumed.relatives(), 30), f"left behind 30 s after the end: {resumed.relatives()}"
    return run
