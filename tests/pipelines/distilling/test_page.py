"""The report as a person reads it."""

from pathlib import Path

from toolrl.pipelines.distilling.page import text

CONTENT = {
    "keep": "all", "mode": "strict", "prompts": 8183, "prompts_right": 5518, "demonstrations": 6000, "samples": 10000,
    "samples_right": 6000, "reasons": {"correct": 6000, "wrong_value": 3000, "no_think": 1000}, "truncated": 7,
    "sources": {
        "toolace": {"prompts": 8000, "prompts_right": 5500, "samples": 9000, "samples_right": 5900},
        "mine": {"prompts": 183, "prompts_right": 18, "samples": 1000, "samples_right": 100},
    },
    "kept_tokens_median": 103.0, "prompt_tokens": 12345678, "completion_tokens": 1030000, "replies_without_counts": 0, "cost": 12.3456,
    "failed": [{"id": "a", "sample": 0, "why": "refused: HTTP 400: too long"}] * 3,
    "this_start": {"asked": 400, "seconds": 20.0, "tokens_per_s": 2060, "requests": 480, "held_s": 9.0,
                   "faults": {"over the limit": 50, "connection lost": 30}},
}  # fmt: skip


def test_yield_reasons_failures_and_cost_are_told_and_what_to_do_next():
    assert (
        text(CONTENT, Path("/runs/a"), 100)
        == """\
kept 5,518 of 8,183 prompts (67.4 %), every right sample, 6,000 rows

source   prompts   kept          samples  right
toolace    8,000  5,500  68.8 %    9,000  5,900  65.6 %
mine         183     18   9.8 %    1,000    100  10.0 %
total      8,183  5,518  67.4 %   10,000  6,000  60.0 %

samples by what the verifier said (strict)
  6,000  60.0 %  correct
  3,000  30.0 %  wrong_value
  1,000  10.0 %  no_think
  7 were cut at sampling.max_tokens

warning: 3 asks have no answer; the same command asks them again
      3  refused: HTTP 400: too long

tokens: 12,345,678 of prompts, 1,030,000 of completions; a kept completion has 103 (median)
cost: 12.35
this start: 400 replies in 20 s, 2,060 tokens/s as they came
  480 requests: over the limit 50, connection lost 30; 9 s held by the limit

rows   /runs/a/demonstrations.jsonl

next:
  toolrl sft … data.train=/runs/a/demonstrations.jsonl   imitate them
  toolrl rl … data.train=/runs/a/demonstrations.jsonl   or learn from the same rows by trying"""
    )


def test_where_nothing_is_right_there_is_nothing_to_train_on():
    none = CONTENT | {"demonstrations": 0, "prompts_right": 0, "kept_tokens_median": None, "cost": None}
    told = text(none, Path("/runs/a"), 60)
    assert told.startswith("kept 0 of 8,183 prompts (0.0 %)")
    assert "next" not in told
    assert "cost" not in told
