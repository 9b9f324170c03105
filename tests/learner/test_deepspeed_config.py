from toolrl.config.learning import LearnerConfig
from toolrl.learner.deepspeed_config import inference_config, training_config

TINY = {"dtype": "float32", "device": "cpu", "hidden_size": 128}
HOST = {"device": "cpu", "pin_memory": False}


def training(changes=None, **settings):
    return training_config(LearnerConfig(**settings), **(TINY | (changes or {})))


def zero(changes=None, **settings):
    return training(changes, **settings)["zero_optimization"]


def test_every_engine_is_zero_3_with_accumulation_in_our_hands():
    for config in (training(), inference_config(LearnerConfig(), **TINY)):
        assert config["zero_optimization"]["stage"] == 3
        assert config["managed_gradient_accumulation"] is False
        assert config["gradient_accumulation_steps"] == 1


def test_a_clip_of_zero_is_written_out_since_deepspeed_clips_at_one_where_it_is_not():
    assert training(clip_grad_norm=0.0)["gradient_clipping"] == 0.0


def test_bfloat16_adds_up_gradients_in_float32():
    assert training({"dtype": "bfloat16"})["data_types"] == {"grad_accum_dtype": "fp32"}
    assert "bf16" not in training()


def test_each_offload_is_written_only_where_it_is_asked_for():
    names = ("offload_optimizer", "offload_param", "zero_hpz_partition_size")
    assert [name for name in names if name in zero()] == []
    both = zero(offload_optimizer=True, offload_parameters=True)
    assert both["offload_optimizer"] == both["offload_param"] == HOST
    assert zero({"device": "cuda"}, offload_optimizer=True)["offload_optimizer"] == {"device": "cpu", "pin_memory": True}


def test_the_reference_is_offloaded_by_its_own_setting():
    training_only = inference_config(LearnerConfig(offload_parameters=True, offload_optimizer=True, hpz_ranks=2), **TINY)
    assert not {"offload_param", "offload_optimizer", "zero_hpz_partition_size"} & training_only["zero_optimization"].keys()
    assert inference_config(LearnerConfig(offload_reference=True), **TINY)["zero_optimization"]["offload_param"] == HOST


def test_buckets_follow_the_width_and_never_shrink_to_a_collective_for_each_parameter():
    assert zero()["reduce_bucket_size"] == zero()["stage3_prefetch_bucket_size"] == 2**21
    wide = zero({"hidden_size": 3584})
    assert wide["reduce_bucket_size"] == wide["stage3_prefetch_bucket_size"] == 3584 * 3584


def test_what_is_set_by_hand_replaces_what_is_derived():
    found = zero(prefetch_elements=7_000_000, persistent_elements=5, hpz_ranks=8)
    assert found["stage3_prefetch_bucket_size"] == 7_000_000
    assert found["stage3_param_persistence_threshold"] == 5
    assert found["zero_hpz_partition_size"] == 8


def test_nothing_that_changes_the_gradient_is_ever_on():
    for settings in ({}, {"hpz_ranks": 8}):
        assert not [name for name in zero(**settings) if "quantized" in name]
