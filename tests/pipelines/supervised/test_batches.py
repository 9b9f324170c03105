"""Which demonstrations a step trains is a function of its number."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrl.config.load import load
from toolrl.config.sft import SftConfig
from toolrl.learner.packing import Demonstration
from toolrl.pipelines.supervised.batches import batch_of, digest_of, with_steps


def config(*overrides):
    return load(SftConfig, ["conf/demo_sft.yaml", "data.copy_warmup_rows=8", *overrides])


def test_each_epoch_takes_every_demonstration_once_in_another_order():
    rows = [object() for _ in range(64)]
    settings = config("data.copy_warmup_steps=2")
    epochs = [[id(r) for step in range(start, start + 4) for r in batch_of(step, rows, settings, 100)] for start in (2, 6)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(map(id, rows))
    assert epochs[0] != epochs[1]


def test_a_batch_reaches_over_the_end_of_an_epoch():
    rows = list(range(5))
    settings = config("data.copy_warmup_steps=0", "loop.rows_per_batch=3")
    taken = [row for step in range(10) for row in batch_of(step, rows, settings, 100)]
    assert [sorted(taken[start : start + 5]) for start in range(0, 30, 5)] == [rows] * 6


def test_the_warm_up_repeats_what_came_before_the_separator():
    for row in batch_of(0, [], config("data.copy_warmup_steps=2"), 100):
        first, second = row.token_ids[: row.prompt_tokens - 1], row.token_ids[row.prompt_tokens :]
        assert row.token_ids[row.prompt_tokens - 1] == 0
        assert np.array_equal(first, second)
        assert 4 <= len(first) <= 16


@pytest.mark.parametrize(("epochs", "warmup", "steps"), [(0, 0, 100), (20, 0, 6898), (1, 0, 345), (0.5, 400, 573), (1e-6, 0, 1)])
def test_epochs_become_steps_of_whole_batches(epochs, warmup, steps):
    """The paper's 5,518 demonstrations, 16 a step: 344.875 steps an epoch."""
    settings = config("run.steps=100", f"loop.epochs={epochs}", f"data.copy_warmup_steps={warmup}")
    assert with_steps(settings, 5518).run.steps == steps


@settings(max_examples=30)  # reading a configuration takes most of an example
@given(st.integers(1, 400), st.integers(1, 40), st.integers(1, 5))
def test_in_so_many_epochs_every_demonstration_is_trained_so_often_and_none_much_more(num_rows, size, epochs):
    settings = with_steps(config("data.copy_warmup_steps=0", f"loop.rows_per_batch={size}", f"loop.epochs={epochs}"), num_rows)
    trained = settings.run.steps * size
    assert 0 <= trained - epochs * num_rows < size
    assert settings.run.steps == math.ceil(epochs * num_rows / size)


def test_other_demonstrations_or_another_order_have_another_digest():
    rows = [Demonstration(np.arange(length, dtype=np.int32), prompt_tokens=2) for length in (5, 7, 9)]
    moved = [Demonstration(rows[0].token_ids, prompt_tokens=3), *rows[1:]]
    joined = [Demonstration(np.concatenate([rows[0].token_ids, rows[1].token_ids]), prompt_tokens=2), rows[2]]
    digests = {digest_of(each) for each in (rows, rows[::-1], rows[:2], moved, joined)}
    assert len(digests) == 5
    assert digest_of(rows) == digest_of([Demonstration(row.token_ids.copy(), row.prompt_tokens) for row in rows])
