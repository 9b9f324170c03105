"""What a configuration may say and is seldom meant is told before a run, and stops none."""

import pytest

from toolrl.cli.main import main
from toolrl.config.load import load
from toolrl.config.remarks import remarks
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig

GOOD = ("model.path=m", "data.train=t.jsonl")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["algo.loss=gspo"], "algo.clip_low=0.2, algo.clip_high=0.2: gspo clips a completion's mean ratio"),
        (["algo.loss=gspo", "algo.clip_low=3e-4"], "algo.clip_low=0.0003, algo.clip_high=0.2: gspo clips"),
        (["algo.kl_coef=0.1", "algo.kl_estimator=k1"], "algo.kl_estimator=k1: its gradient in the loss is 0 in expectation"),
        (["algo.kl_in=reward"], "algo.kl_in=reward: without effect while algo.kl_coef is 0"),
        (["algo.overlong_buffer=10"], "algo.overlong_buffer=10: without effect unless algo.truncated is shape"),
    ],
)
def test_a_setting_that_does_nothing_or_not_what_it_is_for_is_told(settings, said):
    (told,) = remarks(load(RlConfig, [*GOOD, *settings]))
    assert told.startswith(f"note: {said}")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["data.reasoning=false", "eval.heldout=h"], "data.reasoning=false: binary wants reasoning before the calls"),
        (["data.reasoning=false", "eval.heldout=h", "reward.functions={no_think: 1, format: 0.2}"], "data.reasoning=false: format wants"),
        (["data.reasoning=false", "eval.heldout=h", "reward.functions={no_think: 1}"], None),
        (["data.reasoning=false"], None),  # nothing is judged
        (["learner.minibatches=4"], "learner.minibatches=4: without effect here"),
        ([], None),
    ],
)
def test_supervised_training_is_told_what_its_reward_cannot_give(settings, said):
    told = remarks(load(SftConfig, [*GOOD, "learner.max_tokens_per_microbatch=16384", *settings]))
    assert [line.startswith(f"note: {said}") for line in told] == ([True] if said else [])


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["algo.loss=gspo", "algo.clip_low=3e-4", "algo.clip_high=4e-4"],
        ["algo.kl_coef=0.1", "algo.kl_estimator=k1", "algo.kl_in=reward"],
        ["algo.truncated=shape", "algo.overlong_buffer=10"],
    ],
)
def test_what_fits_together_needs_no_word(settings):
    assert remarks(load(RlConfig, [*GOOD, *settings])) == []


def test_a_dry_run_tells_it(tmp_path, capsys):
    assert main(["rl", "conf/demo.yaml", "algo.loss=gspo", f"run.dir={tmp_path / 'run'}", "--dry-run"]) == 0
    assert "note: algo.clip_low=0.2, algo.clip_high=0.2: gspo clips" in capsys.readouterr().out
