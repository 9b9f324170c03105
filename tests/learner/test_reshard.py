import numpy as np
import pytest
import torch

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.errors import CheckpointError
from toolrl.learner.packing import shard_batch
from toolrl.learner.reshard import Layout, cut_shards, files_of_ranks

TOGETHER, APART = ({"a": 5, "b": 2},), ({"a": 5}, {"b": 2})


def saved(*flats, groups=((0,),)):
    """What ranks save whose flat tensors these are, by sub-group: momentum 10 times, the step 7."""
    states = [{i: {"exp_avg": 10 * torch.tensor(v), "step": torch.tensor(7.0)} for i, v in enumerate(rank)} for rank in flats]
    param_groups = [{"weight_decay": 0.5 * i, "params": list(own)} for i, own in enumerate(groups)]
    return [
        {"fp32_flat_groups": [torch.tensor(v) for v in rank], "optimizer_state_dict": {"state": state, "param_groups": param_groups}}
        for rank, state in zip(flats, states, strict=True)
    ]


TWO = saved([[1.0, 2.0, 3.0, 6.0]], [[4.0, 5.0, 0.0, 7.0]])  # a is 1 to 5, in pieces of 3; b is 6 and 7, in pieces of 1


@pytest.mark.parametrize(
    ("ranks", "flats"),
    [
        (1, [[1, 2, 3, 4, 5, 6, 7]]),
        (2, [[1, 2, 3, 6], [4, 5, 0, 7]]),
        (3, [[1, 2, 6], [3, 4, 7], [5, 0, 0]]),
        (6, [[1, 6], [2, 7], [3, 0], [4, 0], [5, 0], [0, 0]]),
    ],
)
def test_a_rank_gets_what_it_would_have_saved_itself(tmp_path, ranks, flats):
    old, new = Layout(TOGETHER, 2), Layout(TOGETHER, ranks)
    for rank, flat in enumerate(flats):
        cut = cut_shards(TWO, old, new, rank, [0], tmp_path)
        assert cut["fp32_flat_groups"][0].tolist() == flat
        state = cut["optimizer_state_dict"]["state"][0]
        assert state["exp_avg"].tolist() == [10 * value for value in flat]
        assert state["step"] == 7


def test_sub_groups_may_be_cut_elsewhere_with_other_ranks(tmp_path):
    cut = cut_shards(TWO, Layout(TOGETHER, 2), Layout(APART, 3), 1, [0, 0], tmp_path)
    assert [flat.tolist() for flat in cut["fp32_flat_groups"]] == [[3, 4], [7]]
    assert [cut["optimizer_state_dict"]["state"][i]["exp_avg"].tolist() for i in (0, 1)] == [[30, 40], [70]]
    assert cut["optimizer_state_dict"]["param_groups"] == [{"weight_decay": 0.0, "params": [0, 1]}]


def test_every_parameter_group_keeps_its_own_settings(tmp_path):
    one = saved([[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0]], groups=((0,), (1,)))
    cut = cut_shards(one, Layout(APART, 1), Layout(APART, 2), 0, [0, 1], tmp_path)
    assert cut["optimizer_state_dict"]["param_groups"] == [{"weight_decay": 0.0, "params": [0]}, {"weight_decay": 0.5, "params": [1]}]
    with pytest.raises(CheckpointError, match="another optimizer"):
        cut_shards(one, Layout(APART, 1), Layout(TOGETHER, 2), 0, [0], tmp_path)


def test_a_rank_whose_files_are_missing_is_named(tmp_path):
    assert files_of_ranks(tmp_path) == []
    for rank in (0, 2):
        (tmp_path / f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt").touch()
    with pytest.raises(CheckpointError, match="rank 1"):
        files_of_ranks(tmp_path)


def train(ranks, batch, share=1):
    shards = shard_batch(batch.batch, num_ranks=ranks.num // share, minibatches=2, max_tokens=60)
    return ranks.step([shards[rank // share] for rank in range(ranks.num)], batch.groups)[0][0]


def held(ranks):
    """Whole states of the optimizer, and the settings of its groups."""
    return ranks.each("optimizer_states", [()] * ranks.num)[0]


def assert_same(states, others, *, atol=0.0):
    assert states.keys() == others.keys()
    for name, values in states.items():
        np.testing.assert_allclose(values, others[name], rtol=0, atol=atol, err_msg=name)


CASES = {  # dtype, settings, and what else the resumed run of two ranks changes
    "adamw": ("float32", {"schedule": "cosine", "warmup_steps": 1}, {"sequence_parallel": 2}),
    "muon": ("float32", {"optimizer": "muon", "persistent_elements": 0}, {"hpz_ranks": 2}),
    "lora": ("bfloat16", {"lora_rank": 2}, {}),
}


@pytest.mark.stack
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_then_one_then_two_are_the_run_that_never_changed(one_rank, two_ranks, models, plain, made, tmp_path, case):
    """States are loaded exactly. What follows is summed in another order: within 1e-6 in float32, of steps of 1e-3 and more."""
    dtype, values, more = CASES[case]
    batches = [made(seed, plain(models["qwen2", True]), num_prompts=4) for seed in range(3)]

    def begin(ranks, checkpoint=None, **changes):
        settings = LearnerConfig(lr=1e-3, num_ranks=ranks.num, **values, **changes)
        ranks.make(ModelConfig(path=models["qwen2", True], dtype=dtype), settings, algo=AlgoConfig(kl_coef=0.05), total_steps=9)
        if checkpoint:
            ranks.call("load", checkpoint)

    def save(ranks, folder):
        folder.mkdir()
        ranks.call("save", folder)
        return held(ranks)

    begin(two_ranks)
    train(two_ranks, batches[0])
    states, groups = save(two_ranks, tmp_path / "by two")
    expected = [train(two_ranks, batch) for batch in batches[1:]]
    unchanged, _ = held(two_ranks)

    begin(one_rank, tmp_path / "by two")
    loaded, loaded_groups = held(one_rank)
    assert_same(loaded, states)
    assert loaded_groups == groups
    metrics = [train(one_rank, batches[1])]
    states, groups = save(one_rank, tmp_path / "by one")

    begin(two_ranks, tmp_path / "by one", **more)
    loaded, loaded_groups = held(two_ranks)
    assert_same(loaded, states)
    assert loaded_groups == groups
    metrics.append(train(two_ranks, batches[2], more.get("sequence_parallel", 1)))

    assert two_ranks.each("call", [("__getattribute__", "optimizer_steps")] * 2) == [6, 6]
    for got, wanted in zip(metrics, expected, strict=True):
        assert got["learner/lr"] == wanted["learner/lr"]
        for name in ("learner/loss", "learner/grad_norm", "learner/kl"):
            assert got[name] == pytest.approx(wanted[name], abs=1e-6 if dtype == "float32" else 5e-3), name
    if dtype == "float32":
        assert_same(held(two_ranks)[0], unchanged, atol=1e-6)


@pytest.mark.stack
def test_what_is_loaded_is_what_deepspeeds_universal_checkpoint_holds(one_rank, two_ranks, models, plain, made, tmp_path):
    for ranks in (one_rank, two_ranks):
        ranks.make(ModelConfig(path=models["qwen2", False], dtype="float32"), LearnerConfig(lr=1e-3))
    train(two_ranks, made(0, plain(models["qwen2", False])))
    two_ranks.call("save", tmp_path)
    one_rank.call("load", tmp_path)
    states = {name: values for name, values in held(one_rank)[0].items() if not name.endswith(" step")}
    (universal,) = one_rank.each("universal", [(tmp_path / "learner", tmp_path / "universal")])
    assert_same({name: values.reshape(universal[name].shape) for name, values in states.items()}, universal)


@pytest.mark.stack
def test_a_checkpoint_of_another_model_is_refused_by_name(one_rank, two_ranks, models, tmp_path):
    two_ranks.make(ModelConfig(path=models["qwen2", True], dtype="float32"), LearnerConfig())
    one_rank.make(ModelConfig(path=models["llama", True], dtype="float32"), LearnerConfig())
    two_ranks.call("save", tmp_path)
    with pytest.raises(CheckpointError, match=r"another model: it has [\d,]+ elements of \S+bias, and this model none"):
        one_rank.call("load", tmp_path)
