"""Supervised training from the command line: it learns, it can be killed, it measures what Transformers measures, and LoRA does too."""

import json
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from driver import START_S, Driver, wait_until
from real_run import lines

from toolrl.cli.main import main
from toolrl.config.load import load
from toolrl.config.sft import SftConfig
from toolrl.data.template import PromptTemplate
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.supervised.inputs import load_supervised

STEPS, EVERY = 40, 10
BLANK = (
    "conf/demo_sft.yaml", f"run.steps={STEPS}", "data.train=demo://sft?rows=1024", "data.copy_warmup_steps=4",
    "data.heldout=demo://sft-heldout?rows=32", "eval.every=20",
    f"checkpoint.every={EVERY}", "monitor.tensorboard=false",
)  # fmt: skip
LORA = (
    "conf/demo_sft.yaml", "model.path=demo://start", "data.train=demo://sft?rows=96&fault_percent=0", "data.copy_warmup_steps=0",
    "loop.epochs=1", "eval.heldout=demo://heldout?rows=32", "eval.prompts=16", "eval.every=3", "data.heldout=demo://sft-heldout?rows=32",
    "learner.optimizer=adamw", "learner.lora_rank=8", "learner.lr=1e-3", "learner.schedule=cosine", "learner.warmup_steps=0",
    "learner.warmup_share=0.34", "checkpoint.every=0",
)  # fmt: skip

Runs = namedtuple("Runs", "whole killed")


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["sft", "conf/demo_sft.yaml", f"run.dir={tmp_path}"]) == 2
    assert "holds no run, but thesis.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_heads_that_ranks_cannot_share_are_told_before_anything_starts(tmp_path, capsys):
    settings = ("learner.num_ranks=3", "learner.sequence_parallel=3", "cluster.num_cpus=4", "model.path=demo://start")
    assert main(["sft", "conf/demo_sft.yaml", *settings, f"run.dir={tmp_path / 'run'}", "--dry-run"]) == 2
    assert "learner.sequence_parallel: got 3 for a model of 4 attention heads" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_what_would_be_trained_and_where(tmp_path, capsys):
    settings = ("model.path=demo://start", "data.train=demo://sft?rows=32", "loop.epochs=4", "data.copy_warmup_steps=0")
    assert main(["sft", "conf/demo_sft.yaml", *settings, "eval.heldout=demo://heldout", f"run.dir={tmp_path / 'run'}", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "steps: 8" in shown
    assert "4 passes" in shown
    assert all(role in shown for role in ("engine-0", "learner-0", "reward-1"))
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_is_too_small_leaves_nothing_behind(tmp_path, capsys):
    settings = ("model.path=demo://start", "data.train=demo://sft?rows=32", "learner.cpus_per_rank=4096")
    assert main(["sft", "conf/demo_sft.yaml", *settings, f"run.dir={tmp_path / 'runs' / 'a'}"]) == 2
    assert "too small" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs from nothing with the same settings: one left alone, one killed −9 after its first checkpoint and started again."""
    folder = tmp_path_factory.mktemp("sft")
    whole = Driver("sft", *BLANK, f"run.dir={folder / 'whole'}", log=folder / "whole.log")
    assert whole.wait() == 0, whole.log.read_text()
    settings = ("sft", *BLANK, f"run.dir={folder / 'killed'}")
    first = Driver(*settings, log=folder / "first.log")
    assert wait_until(lambda: len(lines(folder / "killed")) > EVERY + 4 or not first.running(), START_S), first.log.read_text()
    assert first.running(), first.log.read_text()
    first.kill()
    assert wait_until(lambda: not first.relatives(), 30), f"left behind 30 s after kill -9: {first.relatives()}"
    second = Driver(*settings, log=folder / "second.log")
    assert second.wait() == 0, second.log.read_text()
    return Runs(folder / "whole", folder / "killed")


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    """A run that trains LoRA's matrices for an epoch of six steps, with an engine that answers on the way."""
    folder = tmp_path_factory.mktemp("lora")
    driver = Driver("sft", *LORA, f"run.dir={folder / 'run'}", log=folder / "log")
    assert driver.wait() == 0, driver.log.read_text()
    return folder / "run"


def plain_loss(run, settings):
    """The held-out loss of a run's final model, one sequence at a time in plain Transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(run / "final", dtype=torch.float32).eval()
    rows = load_supervised(load(SftConfig, settings), str(run / "final")).heldout.rows
    losses = []
    for row in rows:
        ids = torch.from_numpy(row.token_ids.astype(np.int64))
        with torch.no_grad():
            logp = torch.log_softmax(model(ids[None], use_cache=False).logits[0, :-1], dim=-1)
        losses.append(-logp.gather(1, ids[1:, None])[row.prompt_tokens - 1 :, 0])
    return float(torch.cat(losses).double().mean())


@pytest.mark.stack
@pytest.mark.timeout(900)
def test_a_run_that_was_killed_has_the_loss_curve_of_one_that_was_not(runs):
    whole, killed = lines(runs.whole), lines(runs.killed)
    assert [line["version"] for line in whole] == [line["version"] for line in killed] == list(range(STEPS + 1))
    for name in ("learner/loss", "learner/grad_norm", "learner/lr", "heldout/loss"):
        assert [line.get(name) for line in killed] == pytest.approx([line.get(name) for line in whole], abs=1e-5)
    assert (runs.killed.parent / "second.log").read_text().count("resuming from version-") == 1
    assert lines(runs.killed / "discarded" / "attempt-1")[0]["version"] == EVERY + 1
    assert len(json.loads((runs.killed / "versions.json").read_text())["attempts"]) == 2


@pytest.mark.stack
def test_a_model_learns_from_nothing_and_loads(runs):
    summary = json.loads((runs.whole / "summary.json").read_text())
    assert summary["steps"] == STEPS
    assert summary["loss_last"] < 0.8 * summary["loss_first"]
    assert summary["heldout_loss_after"] < 0.6 * summary["heldout_loss_before"]
    assert summary["model"] == str(runs.whole / "final")
    assert PromptTemplate.load("", model_path=summary["model"]).text == PromptTemplate.load("demo").text
    assert {path.name for path in (runs.whole / "checkpoints").iterdir()} == {
        "best",
        *(f"version-{step:08d}" for step in (STEPS - EVERY, STEPS)),
    }
    assert (runs.whole / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.stack
def test_the_held_out_loss_is_that_of_plain_transformers(runs):
    summary = json.loads((runs.whole / "summary.json").read_text())
    assert summary["heldout_loss_after"] == pytest.approx(plain_loss(runs.whole, BLANK), abs=1e-5)


@pytest.mark.stack
def test_a_finished_run_is_not_run_again(runs, capsys):
    before = (runs.whole / "metrics.jsonl").read_bytes()
    assert main(["sft", *BLANK, f"run.dir={runs.whole}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == STEPS
    assert (runs.whole / "metrics.jsonl").read_bytes() == before


@pytest.mark.stack
def test_a_folder_of_another_configuration_is_refused_and_left_alone(runs, capsys):
    before = sorted((path, path.stat().st_mtime_ns) for path in runs.whole.rglob("*"))
    assert main(["sft", *BLANK, f"run.dir={runs.whole}", "data.reasoning=false"]) == 2
    assert "data.reasoning: the run has True, got False" in capsys.readouterr().err
    assert sorted((path, path.stat().st_mtime_ns) for path in runs.whole.rglob("*")) == before


@pytest.mark.stack
def test_a_run_is_not_gone_on_with_on_other_demonstrations(runs, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(runs.whole, run)
    (run / "demonstrations.digest").write_text("of others\n")
    assert main(["sft", *BLANK, f"run.dir={run}", f"run.steps={2 * STEPS}"]) == 2
    assert "demonstrations.digest differs from what was given now" in capsys.readouterr().err


@pytest.mark.stack
@pytest.mark.timeout(900)
def test_lora_is_trained_pushed_and_asked_on_the_way(lora):
    rows = lines(lora)
    assert [row["version"] for row in rows] == list(range(7))  # 96 demonstrations, 16 a step
    measured = [row for row in rows if "heldout/greedy" in row]
    assert [row["version"] for row in measured] == [0, 3, 6]
    assert all(0 < row["weights/parity_max_abs_dlogp"] <= 1e-4 for row in measured)
    assert all(row["heldout/greedy_format_right"] > 0.5 for row in measured)  # the start model is far from nothing
    assert "heldout/reward" not in measured[0]
    assert rows[1]["learner/lr"] < rows[3]["learner/lr"] > rows[6]["learner/lr"]  # warm-up over a third of the run, then the cosine


@pytest.mark.stack
def test_loras_matrices_are_merged_into_the_model_that_a_run_ends_with(lora):
    import torch
    from transformers import AutoModelForCausalLM

    summary = json.loads((lora / "summary.json").read_text())
    assert summary["heldout_loss_after"] == pytest.approx(plain_loss(lora, LORA), abs=1e-5)
    final, start = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (lora / "final", resolve_model("demo://start")))
    assert final.keys() == start.keys()
    changed = {name for name in final if not torch.equal(final[name], start[name])}
    assert changed
    assert all("_proj." in name for name in changed)
