"""Stored completions under another reward: counts and means worked by hand."""

import pytest

from toolrl.pipelines.review.rejudge import Rewards, Span, rejudge, report, together
from toolrl.pipelines.review.stored import open_run
from toolrl.reward.verifier import make_verifier
from toolrl.types import Reason, Verdict


def judged_again(run, mode, no_call="either"):
    changed = []
    return rejudge(open_run(run), make_verifier(mode, no_call), changed.append), changed


def test_the_same_reward_changes_nothing(make_run):
    result, changed = judged_again(make_run(), "strict")
    assert (result.scored, result.changed, changed) == (12, 0, [])
    assert result.confusion() == {("right", "right"): 3, ("wrong", "wrong"): 9}


def test_counts_means_and_samples_of_the_paper_s_rules_on_a_strict_run(make_run):
    result, changed = judged_again(make_run(), "paper")
    # draw 0: right, a bare object (right for the paper), wrong city, a default left out (wrong for the paper): 1 0 0 1 -> 1 1 0 0
    # draw 1: wrong in both; draw 8, no call wanted: a plain answer (wrong for the paper), two calls, nothing: 1 0 0 0 -> 0 0 0 0
    assert result.confusion() == {("right", "right"): 1, ("wrong", "right"): 1, ("right", "wrong"): 2, ("wrong", "wrong"): 8}
    assert result.reasons == {
        ("correct", "correct"): 1,
        ("not_a_list", "correct"): 1,
        ("wrong_value", "wrong_value"): 5,
        ("correct", "missing_argument"): 1,
        ("correct", "no_tool_call"): 1,
        ("unexpected_call", "unexpected_call"): 2,
        ("no_think", "no_tool_call"): 1,
    }
    assert result.versions == (
        Span(1, 1, completions=8, groups=2, before=Rewards(2.0, 8, teaching=1), after=Rewards(2.0, 8, teaching=1)),
        Span(2, 2, completions=4, groups=1, before=Rewards(1.0, 4, teaching=1), after=Rewards(0.0, 4, teaching=0)),
    )
    assert together(result.versions) == Span(1, 2, 12, 3, Rewards(3.0, 12, 2), Rewards(2.0, 12, 1))
    assert [(c.sample, c.version, c.reward_before, c.reward_after, c.reason_after, c.path) for c in changed] == [
        ("0.1", 1, 0.0, 1.0, "correct", ""),
        ("0.3", 1, 1.0, 0.0, "missing_argument", "[0].arguments.days"),
        ("8.0", 2, 1.0, 0.0, "no_tool_call", ""),
    ]


def test_a_failed_verifier_is_neither_right_nor_wrong_and_in_no_mean(make_run, weather):
    verdicts = (Verdict(None, Reason.VERIFIER_TIMEOUT), Verdict(1.0, Reason.CORRECT))
    run = make_run([(1, 0, weather.prompt, (weather.texts.right,) * 2)], verdicts=verdicts)

    def broken(prompt, text):
        raise OSError("no disk")

    changed = []
    result = rejudge(open_run(run), broken, changed.append)
    assert result.confusion() == {("failed", "failed"): 1, ("right", "failed"): 1}
    assert result.versions[0].before == Rewards(1.0, 1, teaching=0)
    assert result.versions[0].after.mean is None
    assert [(c.sample, c.reward_after, c.got) for c in changed] == [("0.1", None, "OSError: no disk")]


def test_completions_without_text_are_counted_and_left_out(make_run):
    result, _ = judged_again(make_run(keep="share"), "strict")  # draws 0 and 8 are kept whole
    assert (result.scored, result.without_text) == (8, 4)


def test_a_run_in_progress_is_read_as_far_as_its_files_are_complete_and_nothing_in_it_changes(make_run):
    run = make_run()
    (run / "rollouts" / ".version-000003.parquet.tmp").write_bytes(b"half")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")}
    assert judged_again(run, "paper")[0].scored == 12
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")} == before


def test_a_prompt_is_made_once_for_all_of_its_completions(make_run, weather, monkeypatch):
    made = []
    monkeypatch.setattr("toolrl.monitor.prompts._prompt", lambda row: made.append(row["prompt_id"]) or weather.prompt)
    judged_again(make_run(), "strict")
    assert made == ["weather", "small talk"]


def test_the_report_says_the_same_as_json(make_run):
    result, changed = judged_again(make_run(), "paper")
    told = report(result, changed[:1])
    assert (told["scored"], told["changed"], told["without_text"]) == (12, 3, 0)
    assert told["overall"]["reward_before"] == pytest.approx(0.25)
    assert told["overall"]["reward_after"] == pytest.approx(1 / 6)
    assert told["reasons"][0] == {"before": "wrong_value", "after": "wrong_value", "completions": 5}
    assert [sample["sample"] for sample in told["first_changed"]] == ["0.1"]
