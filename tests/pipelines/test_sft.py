"""Supervised training: batches are a function of the step, the loss is on the answer, and the result is a model."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from driver import Driver

from toolrl.cli.main import main
from toolrl.config.load import load
from toolrl.config.sft import SftConfig
from toolrl.data.demonstrations import load_demonstrations
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.sft import batch_of, demonstrations


def config(*overrides):
    return load(SftConfig, ["conf/demo_sft.yaml", "data.train=demo://sft?rows=64", "data.copy_warmup_rows=8", *overrides])


def test_the_loss_is_on_the_completion_and_the_end_of_the_turn():
    start = resolve_model("demo://start")
    tokenizer = ChatTokenizer(start)
    row = demonstrations(load_demonstrations("demo://sft?rows=64"), config(), start, PromptTemplate.load("demo"))[0]
    assert row.token_ids[-1] == tokenizer.stop_ids[0]
    assert tokenizer.decode(row.token_ids[: row.prompt_tokens]).endswith("assistant\n")
    assert "tool_call" in tokenizer.decode(row.token_ids[row.prompt_tokens :])


def test_each_epoch_takes_every_demonstration_once_in_another_order():
    rows = [object() for _ in range(64)]
    settings = config("data.copy_warmup_steps=2")
    epochs = [[id(r) for step in range(start, start + 4) for r in batch_of(step, rows, settings, 100)] for start in (2, 6)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(map(id, rows))
    assert epochs[0] != epochs[1]


def test_the_warm_up_repeats_what_came_before_the_separator():
    for row in batch_of(0, [], config("data.copy_warmup_steps=2"), 100):
        first, second = row.token_ids[: row.prompt_tokens - 1], row.token_ids[row.prompt_tokens :]
        assert row.token_ids[row.prompt_tokens - 1] == 0
        assert np.array_equal(first, second)
        assert 4 <= len(first) <= 16


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["sft", "conf/demo_sft.yaml", f"run.dir={tmp_path}"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_heads_that_ranks_cannot_share_are_told_before_anything_starts(tmp_path, capsys):
    settings = ("learner.num_ranks=3", "learner.sequence_parallel=3", "cluster.num_cpus=4", "model.path=demo://start")
    assert main(["sft", "conf/demo_sft.yaml", *settings, f"run.dir={tmp_path / 'run'}", "--dry-run"]) == 2
    assert "learner.sequence_parallel: got 3 for a model of 4 attention heads" in capsys.readouterr().err


@pytest.mark.stack
def test_a_model_learns_from_nothing_and_loads(tmp_path):
    driver = Driver(
        "sft", "conf/demo_sft.yaml", f"run.dir={tmp_path / 'run'}", "run.steps=30", "data.copy_warmup_steps=0", log=tmp_path / "log"
    )
    assert driver.wait() == 0, driver.log.read_text()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["loss_last"] < 0.8 * summary["loss_first"]
    assert ChatTokenizer(summary["model"]).size > 1000
    assert PromptTemplate.load("", model_path=summary["model"]).text == PromptTemplate.load("demo").text
