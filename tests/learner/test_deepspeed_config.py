from toolrl.learner.deepspeed_config import inference_config, training_config

TINY = {"dtype": "float32", "device": "cpu", "hidden_size": 128}


def training(**changes):
    return training_config(**({**TINY, "clip_grad_norm": 1.0, "offload_optimizer": False} | changes))


def test_every_engine_is_zero_3_with_accumulation_in_our_hands():
    for config in (training(), inference_config(**TINY, offload_parameters=False)):
        assert config["zero_optimization"]["stage"] == 3
        assert config["managed_gradient_accumulation"] is False
        assert config["gradient_accumulation_steps"] == 1


def test_a_clip_of_zero_is_written_out_since_deepspeed_clips_at_one_where_it_is_not():
    assert training(clip_grad_norm=0.0)["gradient_clipping"] == 0.0


def test_bfloat16_adds_up_gradients_in_float32():
    assert training(dtype="bfloat16")["data_types"] == {"grad_accum_dtype": "fp32"}
    assert "bf16" not in training()


def test_offload_is_written_only_where_it_is_asked_for():
    assert "offload_optimizer" not in training()["zero_optimization"]
    assert training(offload_optimizer=True, device="cuda")["zero_optimization"]["offload_optimizer"] == {
        "device": "cpu",
        "pin_memory": True,
    }
    assert inference_config(**TINY, offload_parameters=True)["zero_optimization"]["offload_param"]["device"] == "cpu"


def test_buckets_follow_the_width_and_never_shrink_to_a_collective_for_each_parameter():
    assert training()["zero_optimization"]["reduce_bucket_size"] == 2**21
    assert training(hidden_size=3584)["zero_optimization"]["reduce_bucket_size"] == 3584 * 3584
