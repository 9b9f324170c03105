import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.draws import MAX_SIBLINGS, PromptStream, permutation, sampling_seed
from toolrl.errors import DataError
from toolrl.types import Message, Prompt

PROMPTS = [Prompt(f"p{i}", "s", (Message("user", "x" * i),), (), ()) for i in range(1, 11)]


def encode(prompt):
    return np.full(len(prompt.messages[0].content), 7, dtype=np.int32)


def stream(seed=0, limit=100, prompts=PROMPTS):
    return PromptStream(prompts, encode=encode, max_prompt_tokens=limit, seed=seed)


def epoch(source, number):
    return [source.draw(number * len(source) + i).prompt.id for i in range(len(source))]


@given(st.integers(0, 2**40), st.integers(0, 10**6), st.integers(1, 50))
def test_every_epoch_takes_each_prompt_once(seed, number, size):
    assert sorted(permutation(seed, number, size)) == list(range(size))


def test_epochs_and_seeds_have_different_orders():
    assert len({tuple(epoch(stream(seed), number)) for seed in (0, 1) for number in range(3)}) == 6


def test_a_draw_depends_on_its_number_alone_also_after_pickling():
    source = stream(seed=3)
    forward = [source.draw(i) for i in range(25)]
    copied = pickle.loads(pickle.dumps(source))  # noqa: S301
    backward = [copied.draw(i) for i in reversed(range(25))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert (a.number, a.prompt, a.seed, a.token_ids.tolist()) == (b.number, b.prompt, b.seed, b.token_ids.tolist())


def test_draws_are_the_same_for_ever():
    assert permutation(0, 0, 6).tolist() == [3, 5, 4, 2, 0, 1]
    assert sampling_seed(0, 0) == 781252177026632337


@given(st.integers(0, 2**63), st.integers(0, 2**40))
def test_seeds_leave_room_for_siblings_below_the_engine_s_limit(run_seed, number):
    assert 0 <= sampling_seed(run_seed, number) <= 2**63 - 1 - MAX_SIBLINGS


def test_ranges_of_sibling_seeds_do_not_meet_in_a_long_run():
    seeds = np.sort([sampling_seed(0, k) for k in range(50_000)])
    assert np.diff(seeds).min() > 1024


def test_runs_and_draws_are_told_apart():
    assert len({sampling_seed(run, k) for run in range(20) for k in range(20)}) == 400


def test_long_prompts_are_left_out_and_counted():
    source = stream(limit=4)
    assert (len(source), source.left_out) == (4, 6)
    assert sorted(epoch(source, 0)) == ["p1", "p2", "p3", "p4"]
    assert all(len(source.draw(i).token_ids) == len(source.draw(i).prompt.messages[0].content) for i in range(4))


def test_no_prompt_left_says_how_short_the_shortest_is():
    with pytest.raises(DataError, match=r"none of 10 prompts has 0 tokens or fewer \(the shortest has 1\); raise it"):
        stream(limit=0)
