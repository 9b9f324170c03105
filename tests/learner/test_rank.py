import numpy as np
import pytest

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.errors import LearnerError, UserError
from toolrl.learner.collate import demonstration_tokens
from toolrl.learner.packing import Demonstration, RankShard
from toolrl.learner.rank import LearnerRank

SEQUENCES = [np.arange(3, 3 + n, dtype=np.int32) % 97 for n in (2, 31, 7, 18)]


def fp32(path):
    return ModelConfig(path=path, dtype="float32")


@pytest.mark.stack
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [False, True])
def test_log_probabilities_are_those_of_plain_transformers(ranks, models, plain, architecture, tied):
    path = models[architecture, tied]
    ranks.make(fp32(path), LearnerConfig(max_tokens_per_microbatch=40, persistent_elements=0))
    for temperature in (1.0, 0.6):
        for found in ranks.call("logprobs", SEQUENCES, temperature):
            for ids, logp in zip(SEQUENCES, found, strict=True):
                assert logp.dtype == np.float32
                np.testing.assert_allclose(logp, plain(path).logp(ids, temperature).detach().numpy(), atol=1e-5, rtol=0)


def test_a_model_that_is_not_there_is_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match=r"model\.path"):
        LearnerRank(fp32(str(tmp_path)), LearnerConfig()).setup(0, 1, "127.0.0.1", 1)


def test_using_a_rank_before_its_setup_is_refused(tmp_path):
    with pytest.raises(LearnerError, match="setup"):
        LearnerRank(fp32(str(tmp_path)), LearnerConfig()).save(tmp_path)
    with pytest.raises(LearnerError, match="setup"):
        LearnerRank(fp32(str(tmp_path)), LearnerConfig()).step(RankShard(0, (), {}, {}), {})


@pytest.mark.parametrize(("share", "counted"), [(1, 9.0), (2, 4.5)])
def test_tokens_of_a_row_that_ranks_share_are_counted_once_by_all_of_them_together(tmp_path, share, counted):
    rank = LearnerRank(fp32(str(tmp_path)), LearnerConfig(num_ranks=2, sequence_parallel=share))
    rows = [Demonstration(np.arange(n, dtype=np.int32), 1) for n in (4, 5)]
    rank._count([demonstration_tokens(rows, "cpu")], 0.0, {})
    assert rank.done.tokens == counted
