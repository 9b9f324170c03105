import pytest
import torch

from toolrl.algo.aggregate import aggregate, denominator, token_weights

LOSS = torch.tensor([1.0, 2.0, 3.0, 6.0])  # completions of 3 tokens and of 1


def mean(aggregation, segments, constant=1):
    lengths = segments.lengths
    over = denominator(aggregation, tokens=float(lengths.sum()), completions=float((lengths > 0).sum()))
    return aggregate(token_weights(aggregation, segments, constant) * LOSS, over).item()


def test_the_three_means_by_hand(segments):
    assert mean("token_mean", segments(3, 1)) == 3.0  # 12 / 4
    assert mean("sequence_mean", segments(3, 1)) == 4.0  # (2 + 6) / 2
    assert mean("constant", segments(3, 1), constant=10) == pytest.approx(0.6)  # (6 / 10 + 6 / 10) / 2


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "constant"])
def test_a_completion_without_trained_tokens_counts_nowhere(segments, aggregation):
    assert mean(aggregation, segments(3, 0, 1)) == mean(aggregation, segments(3, 1))


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "constant"])
def test_any_split_by_completions_aggregates_to_the_mean_over_the_whole_step(segments, aggregation):
    over = denominator(aggregation, tokens=4.0, completions=2.0)
    parts = zip((LOSS[:3], LOSS[3:], LOSS[:0]), (segments(3), segments(1), segments(0)), strict=True)
    split = sum(aggregate(token_weights(aggregation, where, 1) * loss, over).item() for loss, where in parts)
    assert split == pytest.approx(mean(aggregation, segments(3, 1)))


def test_a_step_without_trained_tokens_is_refused_instead_of_divided_by_zero():
    with pytest.raises(ValueError, match="skipped"):
        aggregate(torch.zeros(0), 0)


def test_another_name_is_an_error(segments):
    with pytest.raises(ValueError, match=r"algo\.aggregation: got 'mean'"):
        token_weights("mean", segments(1), 1)
