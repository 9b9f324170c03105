"""What a person is told once a supervised run has ended."""

import json

from toolrl.config.load import load
from toolrl.config.sft import SftConfig
from toolrl.monitor.summary import summarise_supervised
from toolrl.pipelines.supervised.closing import text

TRAINED = {"learner/tokens": 50.0, "loop/step_s": 2.0, "loop/learner_s": 2.0}
MEASURED = {
    "heldout/loss_stderr": 0.02,
    "heldout/greedy_stderr": 0.03,
    "heldout/greedy_format_right": 1.0,
    "heldout/greedy_content_right": 0.5,
}


def told(tmp_path, *lines, best_step=None):
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = summarise_supervised(tmp_path / "metrics.jsonl", checkpoint=f"{tmp_path}/checkpoints/version-00000002", best_step=best_step)
    config = load(SftConfig, ["conf/demo_sft.yaml", f"run.dir={tmp_path}"])
    return [" ".join(line.split()) for line in text(config, summary | {"model": f"{tmp_path}/final"}).splitlines()]


def test_before_and_after_stand_side_by_side_with_their_errors(tmp_path):
    before = {"version": 0, "heldout/loss": 7.4, "heldout/greedy": 0.0, **MEASURED}
    after = {"version": 2, "learner/loss": 1.0, **TRAINED, "heldout/loss": 0.68, "heldout/greedy": 0.75, **MEASURED}
    lines = told(tmp_path, before, {"version": 1, "learner/loss": 3.0, **TRAINED}, after)
    assert lines[1] == "2 steps, 100 completion tokens, 25 tokens/s"
    assert lines[3:9] == [
        "before after",
        "loss, training 3.000 2.000 (first step, and mean of the last 2)",
        "loss, held out 7.400 0.680 (standard error 0.020)",
        "reward, greedy 0.000 0.750 (standard error 0.030)",
        "form right 1.000 1.000",
        "content right 0.500 0.500",
    ]


def test_what_was_not_measured_is_not_shown(tmp_path):
    lines = told(tmp_path, {"version": 1, "learner/loss": 3.0, **TRAINED})
    assert [line for line in lines if line.startswith(("loss", "reward", "best"))] == [
        "loss, training 3.000 3.000 (first step, and mean of the last 1)"
    ]


def test_the_best_weights_are_named_where_they_were_kept(tmp_path):
    line = {"version": 1, "learner/loss": 3.0, **TRAINED}
    assert "best step 0" in told(tmp_path, line, best_step=0)
    (tmp_path / "checkpoints" / "best").mkdir(parents=True)
    assert f"best step 1, in {tmp_path}/checkpoints/best" in told(tmp_path, line, best_step=1)
