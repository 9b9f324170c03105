"""A real run from the command line: killed, resumed, and accounted for; then another from its result, on real rows."""

import json
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from driver import Driver
from real_run import GROUP, KEYS, PROMPTS, SETTINGS, STEPS, lines

from toolrl.cli.main import main

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SUMMARY = {
    "steps", "heldout_reward_before", "heldout_reward_after", "heldout_greedy_before", "heldout_greedy_after", "content_right_before",
    "content_right_after", "train_reward_first", "train_reward_last", "parity_max_abs_dlogp", "max_staleness_seen", "completions",
    "completions_per_s", "tokens_per_s", "seconds_by_stage", "reasons", "checkpoint",
}  # fmt: skip


def rollouts(run):
    return [row for path in sorted((run / "rollouts").glob("version-*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.fixture
def run(real_run):
    """A run of six batches whose driver was killed −9 in the fourth or later, and that was started again."""
    return real_run


def test_a_killed_run_goes_on_from_its_newest_checkpoint(run):
    text = (run.parent / "resumed.log").read_text()
    assert "resuming from version-0000000" in text
    assert [attempt["attempt"] for attempt in json.loads((run / "versions.json").read_text())["attempts"]] == [1, 2]


def test_no_key_of_the_environment_is_in_a_file_of_the_run_or_was_printed(run):
    files = [path for path in run.parent.rglob("*") if path.is_file()]
    assert {"killed.log", "resumed.log", "config.yaml", "versions.json", "metrics.jsonl"} <= {path.name for path in files}
    assert not [path for path in files for key in KEYS.values() if key.encode() in path.read_bytes()]


def test_every_draw_is_trained_once_in_the_surviving_lineage(run):
    times = Counter((row["draw"], row["sample"]) for row in rollouts(run))
    assert times == Counter({(draw, sample): 1 for draw in range(STEPS * PROMPTS) for sample in range(GROUP)})
    for row in rollouts(run):
        assert row["version"] == row["draw"] // PROMPTS + 1


def test_metrics_have_one_line_for_each_version(run):
    assert [line["version"] for line in lines(run)] == list(range(STEPS + 1))


def test_every_push_was_verified(run):
    parity = [line["weights/parity_max_abs_dlogp"] for line in lines(run)]
    assert len(parity) == STEPS + 1
    assert 0 < max(parity) <= 1e-4


def test_the_summary_holds_what_it_promises(run):
    summary = json.loads((run / "summary.json").read_text())
    assert set(summary) >= SUMMARY
    assert summary["steps"] == STEPS
    assert summary["completions"] == STEPS * PROMPTS * GROUP == sum(summary["reasons"].values())
    assert summary["max_staleness_seen"] == 0
    rewards = [line["reward/mean"] for line in lines(run) if line["version"]]
    assert summary["train_reward_first"] == pytest.approx(sum(rewards[:5]) / 5)
    assert Path(summary["checkpoint"]).name == f"version-{STEPS:08d}"


def test_sampled_log_probabilities_are_those_of_the_learner(run):
    mismatch = [line["learner/mismatch_max_abs_dlogp"] for line in lines(run) if line.get("learner/mismatch_max_abs_dlogp") is not None]
    assert mismatch
    assert max(mismatch) < 1e-3


def test_the_final_model_loads_in_transformers_and_is_not_the_start(run):
    import torch
    from transformers import AutoModelForCausalLM

    from toolrl.pipelines.inputs import resolve_model

    final, start = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (run / "final", resolve_model("demo://start")))
    assert final.keys() == start.keys()
    assert any(not torch.equal(final[name], start[name]) for name in final)


def test_a_finished_run_is_not_run_again(run, capsys):
    before = (run / "metrics.jsonl").read_bytes()
    assert main(["rl", *SETTINGS, f"run.steps={STEPS}", f"run.dir={run}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == STEPS
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_folder_of_another_configuration_is_refused_and_left_alone(run, capsys):
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    assert main(["rl", *SETTINGS, f"run.dir={run}", "learner.lr=2e-4"]) == 2
    assert "learner.lr: the run has 0.0001, got 0.0002" in capsys.readouterr().err
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_real_rows_end_well_and_the_reasons_say_why_nothing_is_earned(run, shared_data, tmp_path):
    """From the run's own result, which vLLM must load, one version stale."""
    data = tmp_path / "rows"
    source = str(shared_data / "tool_calling" / "train.jsonl")
    assert (
        main(
            [
                "prepare",
                source,
                "--out",
                str(data),
                "--tokenizer",
                str(run / "final"),
                "--template",
                "tool_n1",
                "--max-prompt-tokens",
                "1024",
            ]
        )
        == 0
    )
    driver = Driver(
        "rl", "conf/demo.yaml", f"model.path={run / 'final'}", f"data.train={data}", f"data.heldout={data}", "prompt.template=tool_n1",
        "data.max_prompt_tokens=1024", "sampling.max_tokens=32", "loop.prompts_per_batch=2", "sampling.n=2", "eval.prompts=4",
        "run.steps=3", "loop.max_staleness=1", "learner.num_ranks=1", "reward.workers=1", f"run.dir={tmp_path / 'run'}",
        log=tmp_path / "log",
    )  # fmt: skip
    assert driver.wait() == 0, driver.log.read_text()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["steps"] == 3
    assert summary["train_reward_last"] == 0.0
    assert sum(summary["reasons"].values()) == 12
    assert "correct" not in summary["reasons"]
