"""The page and the JSON of a replay say the same, fit the terminal, and leave out nothing that weighs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from toolrl.learner.inspection import Place
from toolrl.pipelines.replaying import replay_json, replay_page
from toolrl.pipelines.replaying.plan import plan
from toolrl.pipelines.replaying.replayed import Check, Replayed, check
from toolrl.types import Message, Prompt, TrainedGroup

PROMPT = Prompt("p2", "hand", (Message("system", "hidden"), Message("user", "ask 2")), (), ())


@pytest.fixture
def replayed(run, inspection):
    """Sample 2:1 of a run that logged a loss share of 2.125 for it; its two tokens have the losses 2 and 0.125."""
    found = plan(run(checkpoints=()), "2:1")
    return Replayed(found, PROMPT, np.array([5, 6, 7]), ("<think>", "a\nb"), inspection([2.0, 0.125]), (Check(1, 0.0),))


def test_the_page_goes_from_the_verdict_to_the_loss(replayed):
    lines = replay_page.text(replayed, 120).split("\n")
    said = "\n".join(lines)
    assert all(fact in said for fact in ("made version 2", "optimizer step 1 of 2", "rank 1, micro-batch 1 of 3"))
    assert "loss share  +2.125; the logged one to the last bit" in lines
    assert "advantage   +0.500000; logged -0.999998, difference +1.5e+00" in lines  # rewards 1, 0, 1/2: std 1/2
    assert "gradient    norm 3, of the whole step 4; cosine +0.5000" in lines  # 0.375 · 4 / 3
    assert "            +37.500% of the step's gradient, along it" in lines
    assert "── prompt p2 · source hand · 3 tokens" in lines
    assert "hidden" not in said
    assert lines[lines.index("user        ask 2") + 2] == "── completion · 2 tokens · stop · weights of version 1"
    assert "from the start model · 1 batch trained again" in said
    assert "  every loss share of those batches is the logged one to the last bit" in lines
    assert lines[-1].endswith("--sample 2.1")


def test_a_sample_whose_batch_failed_is_shown_without_what_was_never_logged(replayed):
    row = {**replayed.plan.row, "outcome": "discarded", "outcome_reason": "not finite", "advantage": None, "loss_share": None}
    spoilt = replace(replayed.inspection, loss_share=float("nan"), gradient_norm=float("inf"))
    lost = replace(replayed, plan=replace(replayed.plan, row=row), inspection=spoilt)
    said = replay_page.text(lost, 120)
    assert all(
        each in said for each in ("should have made version 2", "its batch   not finite", "loss share  +nan\n", "advantage   +0.500000\n")
    )
    told = json.loads(json.dumps(replay_json.report(lost), allow_nan=False))
    assert told["failed"] == "not finite"
    assert told["loss_share"] == {"replayed": None, "logged": None, "difference": None}
    assert told["gradient"]["norm"] is None


def test_each_token_has_a_line_with_its_terms(replayed):
    lines = replay_page.text(replayed, 120).split("\n")
    head = next(i for i, line in enumerate(lines) if line.split()[:2] == ["token", "engine"])
    assert lines[head].split() == ["token", "engine", "start", "ratio", "weight", "loss"]
    assert lines[head + 1].split() == ["0", "<think>", "-1.000", "-0.500", "1.000", "1.500", "+2.0e+00"]
    assert lines[head + 2].split() == ["1", r"a\nb", "0.000", "0.500", "1.000*", "1.500", "+1.2e-01"]


def test_a_later_optimizer_step_and_a_kl_penalty_have_columns_of_their_own(replayed):
    terms = replace(replayed.inspection.tokens, kl=np.array([0.0, 0.5], np.float32), reference_logp=np.zeros(2, np.float32))
    later = replace(replayed, inspection=replace(replayed.inspection, tokens=terms, place=Place(2, 1, 1, 0)))
    said = replay_page.text(later, 120)
    assert "optimizer step 2 of 2" in said
    head = next(line for line in said.split("\n") if line.split()[:2] == ["token", "engine"])
    assert head.split() == ["token", "engine", "start", "now", "ratio", "weight", "kl", "loss"]
    assert "-0.750" in said  # now: -1 + 0.25


def test_a_share_that_differs_is_said_with_the_difference_and_the_batch_it_came_from(replayed):
    other = replace(replayed, inspection=replace(replayed.inspection, loss_share=2.0), checks=(Check(1, 0.25), Check(2, 0.125)))
    said = replay_page.text(other, 120)
    assert "+2; logged +2.125, difference -1.2e-01" in said
    assert "largest difference of a loss share from the logged one: 2.5e-01, where version 1 was made" in said


def test_of_a_long_completion_the_ends_and_the_heaviest_tokens_are_shown(replayed, inspection):
    losses = np.zeros(1000, np.float32)
    heavy = [100, 333, 700]
    losses[heavy] = [-5.0, 4.0, -3.0]
    long = replace(replayed, inspection=inspection(losses), pieces=tuple(f"t{i}" for i in range(1000)))
    lines = replay_page.text(long, 100).split("\n")
    shown = [line.split()[1] for line in lines if len(line.split()) > 2 and line.split()[1] == f"t{line.split()[0]}"]
    assert len(shown) == replay_page.TOKENS
    assert shown[:12] == [f"t{i}" for i in range(12)]
    assert shown[-12:] == [f"t{i}" for i in range(988, 1000)]
    assert {f"t{i}" for i in heavy} <= set(shown)
    assert "936 tokens not shown, which weigh less in the loss; --json has them all" in lines


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_line_but_the_command_fits_and_nothing_unprintable_is_written(replayed, width):
    hostile = replace(replayed, pieces=("\x1b[31m天天天天天天天天天天天天", "\u202e\ud800"), prompt=replace(PROMPT, id="x" * 200))
    lines = replay_page.text(hostile, width).split("\n")
    assert max(len(line) for line in lines[:-1]) <= width
    assert all(line.isprintable() for line in lines)


def test_json_holds_every_token_and_both_shares(replayed):
    told = json.loads(json.dumps(replay_json.report(replayed)))
    assert told["sample"] == "2.1"
    assert told["loss_share"] == {"replayed": 2.125, "logged": 2.125, "difference": 0.0}
    assert told["advantage"] == {"replayed": 0.5, "logged": replayed.plan.row["advantage"]}
    assert told["gradient"] == {"norm": 3.0, "step_norm": 4.0, "projection": 0.375, "cosine": 0.5}
    assert told["tokens"]["id"] == [40, 41]
    assert told["tokens"]["loss"] == [2.0, 0.125]
    assert told["tokens"]["clipped"] == [False, True]
    assert told["tokens"]["kl"] is None
    assert told["prompt"] == {"id": "p2", "tokens": [5, 6, 7]}
    assert told["replay"] == {"checkpoint": None, "trained_again": [{"version": 1, "max_difference": 0.0}], "notes": []}
    assert told["step"]["denominator"] == 12.0


def test_a_batch_is_compared_completion_by_completion():
    logged = {3: TrainedGroup((0.0, 0.0), (0.5, None)), 4: TrainedGroup((0.0, 0.0), (0.25, 1.0))}
    assert check(7, logged, logged) == Check(7, 0.0)
    other = {3: logged[3], 4: TrainedGroup((0.0, 0.0), (0.25, 1.5))}
    assert check(7, other, logged) == Check(7, 0.5)
    assert check(7, {3: TrainedGroup((0.0, 0.0), (0.5, 0.5)), 4: logged[4]}, logged).max_difference == float("inf")
