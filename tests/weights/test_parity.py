"""The numbers of a probe and their bounds."""

import numpy as np
import pytest

from toolrl.errors import WeightSyncError
from toolrl.weights.parity import CALIBRATION_CEILING, Parity, ParityBound, parity


def f32(*values):
    return np.array(values, dtype=np.float32)


def seen(max_abs, mean_abs):
    return Parity(max_abs, mean_abs, 10)


def test_largest_and_mean_are_over_all_tokens_of_all_sequences():
    found = parity([f32(-1.0, -2.0), f32(-3.0)], [f32(-1.0, -2.5), f32(-2.75)])
    assert found == Parity(max_abs=0.5, mean_abs=0.25, num_tokens=3)


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_what_is_no_number_is_infinitely_far(bad):
    assert parity([f32(-1.0, -2.0)], [f32(-1.0, bad)]).max_abs == float("inf")


def test_two_that_are_no_number_do_not_agree():
    assert parity([f32(float("nan"))], [f32(float("nan"))]).max_abs == float("inf")


@pytest.mark.parametrize("theirs", [[f32(-1.0)], [f32(-1.0, -1.0), f32(-1.0)], []])
def test_answers_of_different_lengths_fail(theirs):
    with pytest.raises(WeightSyncError, match="different lengths"):
        parity([f32(-1.0, -1.0)], theirs)


def test_nothing_compared_proves_nothing():
    with pytest.raises(WeightSyncError):
        parity([], [])


def test_in_float32_the_mean_has_a_fixed_bound():
    bound = ParityBound("float32", 2e-5)
    bound.check("engine-0", seen(1e-4, 2e-5))
    bound.calibrate([seen(1e-7, 1e-8)])  # changes nothing
    bound.check("engine-0", seen(1e-4, 2e-5))
    with pytest.raises(
        WeightSyncError, match=r"engine-0: mean .* is 3e-05 nats, more than 2e-05 \(mean 3e-05, largest 0\.0001 over 10 tokens"
    ):
        bound.check("engine-0", seen(1e-4, 3e-5))


def test_in_float32_a_single_token_may_differ_by_what_rounding_can_make_and_no_more():
    """Measured on texts that a small model had never seen the like of: largest 1.07e-4, mean 5.45e-6, without AVX-512."""
    bound = ParityBound("float32", 2e-5)
    bound.check("engine-0", seen(1.07e-4, 5.45e-6))
    bound.check("engine-0", seen(1e-3, 5.45e-6))
    with pytest.raises(WeightSyncError, match=r"engine-0: largest .* is 0\.0011 nats, more than 0\.001 \(mean 5\.45e-06"):
        bound.check("engine-0", seen(1.1e-3, 5.45e-6))


def test_in_bfloat16_the_mean_is_held_to_four_times_that_of_the_first_push():
    bound = ParityBound("bfloat16", 1e-4)
    bound.check("engine-0", seen(0.5, 0.01))
    bound.calibrate([seen(0.5, 0.008), seen(0.5, 0.01)])
    bound.check("engine-0", seen(9.0, 0.04))
    with pytest.raises(WeightSyncError, match=r"mean .* is 0\.041 nats, more than 0\.04"):
        bound.check("engine-0", seen(0.5, 0.041))


def test_the_bound_is_found_once():
    bound = ParityBound("bfloat16", 1e-4)
    bound.calibrate([seen(0.5, 0.005)])
    bound.calibrate([seen(0.5, 0.02)])
    with pytest.raises(WeightSyncError):
        bound.check("engine-0", seen(0.5, 0.03))


def test_a_first_push_of_wrong_weights_does_not_become_the_measure():
    with pytest.raises(WeightSyncError):
        ParityBound("bfloat16", 1e-4).check("engine-0", seen(5.0, CALIBRATION_CEILING + 0.01))


def test_a_lucky_first_push_leaves_room_for_rounding():
    bound = ParityBound("bfloat16", 1e-4)
    bound.calibrate([seen(0.0, 0.0)])
    bound.check("engine-0", seen(0.01, 1e-3))
