"""The door of the importance corrections: what holds for each of them."""

import importlib

import pytest

from toolrl.algo.importance_weights import importance_weights
from toolrl.config.learning import IMPORTANCE, AlgoConfig

EVERY = pytest.mark.parametrize("mode", IMPORTANCE)


def weights(mode, x, **more):
    return importance_weights(AlgoConfig(importance=mode, **more), x.old_logp.requires_grad_(), x.engine_logp, x.segments)


def test_each_name_but_off_has_a_file_and_other_weights(random_tokens):
    found = set()
    for mode in IMPORTANCE:
        if mode != "off":
            importlib.import_module(f"toolrl.algo.importance.{mode}")
        found.add(weights(mode, random_tokens(0, spread=1.0)).sum().item())
    assert len(found) == len(IMPORTANCE)


def test_the_default_corrects_each_token_and_off_has_to_be_asked_for(random_tokens):
    assert AlgoConfig().importance == "token"
    assert weights("off", random_tokens(0)).tolist() == [1.0] * 11


def test_another_name_is_an_error(random_tokens):
    with pytest.raises(ValueError, match=r"algo\.importance: got 'none'"):
        weights("none", random_tokens(0))


@EVERY
@pytest.mark.parametrize("spread", [0.1, 3.0, 300.0])
def test_no_weight_is_above_the_cap_below_zero_or_has_a_gradient(random_tokens, mode, spread):
    for seed in range(20):
        made = weights(mode, random_tokens(seed, spread=spread), importance_cap=1.7)
        assert not made.requires_grad
        assert ((made >= 0) & (made <= 1.7)).all()


@EVERY
def test_where_engine_and_learner_agree_every_weight_is_one(random_tokens, mode):
    x = random_tokens(0)
    x.engine_logp = x.old_logp.detach().clone()
    assert weights(mode, x).tolist() == [1.0] * 11


@EVERY
def test_no_tokens_have_no_weights(random_tokens, mode):
    assert weights(mode, random_tokens(0, lengths=(0, 0))).tolist() == []
