"""The configurations of the paper: what they resolve to, where the small ones differ, and that they start from any folder."""

from pathlib import Path

import pytest

from toolrl.actors.placement import Node, bundles_of, fit
from toolrl.cli.main import main
from toolrl.config.load import load, settings
from toolrl.config.schema import RlConfig

CONF = Path(__file__).parents[2] / "conf"
FILES = ("tool_n1_7b", "tool_n1_14b", "tool_n1_7b_node", "tool_n1_14b_node")
PAPER = {
    "run.steps": 427,
    "model.dtype": "bfloat16",
    "model.gradient_checkpointing": True,
    "data.max_prompt_tokens": 4096,
    "sampling.n": 5,
    "sampling.temperature": 0.7,
    "sampling.top_p": 1.0,
    "sampling.max_tokens": 8192,
    "engine.tensor_parallel": 2,
    "reward.mode": "paper",
    "reward.functions": {},
    "loop.prompts_per_batch": 1024,
    "loop.max_staleness": 0,
    "loop.refill": False,
    "algo.advantage": "group",
    "algo.advantage_eps": 1e-6,
    "algo.loss": "clipped",
    "algo.clip_low": 0.2,
    "algo.clip_high": 0.2,
    "algo.kl_coef": 1e-3,
    "algo.kl_estimator": "k3",
    "algo.kl_in": "loss",
    "algo.entropy_coef": 0.0,
    "algo.importance": "off",
    "algo.truncated": "keep",
    "learner.minibatches": 4,
    "learner.max_tokens_per_microbatch": 30720,
    "learner.optimizer": "adamw",
    "learner.lr": 1e-6,
    "learner.schedule": "constant",
    "learner.warmup_steps": 0,
    "learner.beta1": 0.9,
    "learner.beta2": 0.999,
    "learner.weight_decay": 0.01,
    "learner.clip_grad_norm": 1.0,
    "learner.lora_rank": 0,
    "learner.offload_reference": True,
    "weights.backend": "ipc",
    "cluster.colocated": True,
    "cluster.device": "cuda",
}
"""Table 6 of arXiv 2505.00024 v2 and its public code, as far as both fix a setting."""
NODE = {"run.dir", "engine.num", "engine.max_num_seqs", "reward.workers", "learner.num_ranks", "eval.prompts"}
"""What a single node has otherwise."""


def resolved(name):
    config = load(RlConfig, [str(CONF / f"{name}.yaml")])
    return {key: getattr(getattr(config, key.partition(".")[0]), key.partition(".")[2]) for key in settings(RlConfig)}


@pytest.mark.parametrize("name", FILES)
def test_the_papers_settings_are_the_papers(name):
    found = resolved(name)
    assert {key: found[key] for key in PAPER} == PAPER


@pytest.mark.parametrize("size", ["7b", "14b"])
def test_one_node_differs_in_its_size_only(size):
    paper, node = resolved(f"tool_n1_{size}"), resolved(f"tool_n1_{size}_node")
    assert {key for key in paper if paper[key] != node[key]} <= NODE


def test_7b_and_14b_have_the_same_recipe():
    small, large = resolved("tool_n1_7b"), resolved("tool_n1_14b")
    assert {key for key in small if small[key] != large[key]} == {"run.dir", "model.path", "eval.prompts"}


@pytest.mark.parametrize(("name", "nodes"), [(name, 1 if name.endswith("_node") else 4) for name in FILES])
def test_every_gpu_of_the_nodes_has_one_rank_and_one_worker(name, nodes):
    config = load(RlConfig, [str(CONF / f"{name}.yaml")])
    bundles = bundles_of(config)
    assert sum(bundle.gpus for bundle in bundles) == 8 * nodes == config.learner.num_ranks
    assert fit(bundles, [Node(f"node-{i}", 48.0, 8.0) for i in range(nodes)]).fits
    assert config.engine.num * config.engine.max_num_seqs == config.loop.prompts_per_batch * config.sampling.n


@pytest.mark.parametrize("name", FILES)
def test_a_dry_run_by_name_checks_everything_from_any_folder(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    demo = ("model.path=demo://start", "data.train=demo://train", "data.heldout=demo://heldout", "eval.prompts=16")
    assert main(["rl", f"conf/{name}.yaml", *demo, "run.dir=run", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "engine-3, learner-6, learner-7: 4 CPU, 2 GPU" in out
    assert "on the cluster at auto, which a dry run does not ask" in out
    assert "everything checked; nothing was started" in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_without_its_data_a_dry_run_says_what_is_missing(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["rl", f"conf/{name}.yaml", "model.path=demo://start", "--dry-run"]) == 2
    assert "data/tool_n1" in capsys.readouterr().err
