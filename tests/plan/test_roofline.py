"""Seconds, worked by hand for Qwen2.5-7B on H100s that reach every figure of their data sheet."""

import pytest

from toolrl.plan.roofline import pushed_bytes

P, EMBEDDING, LAYERS, HIDDEN = 7_615_616_512, 152_064 * 3584, 28, 3584
BODY = P - 2 * EMBEDDING
COMPLETIONS, TRAINED = 5120, 512_000
COMPUTED = 1024 * 850 + TRAINED
FLOPS, MEMORY = 989e12, 3350e9


def attention(queries, before):
    return 4 * LAYERS * HIDDEN * queries * (before + queries / 2)


FORWARD = 2 * BODY * COMPUTED + 2 * EMBEDDING * TRAINED + 1024 * attention(850, 0) + COMPLETIONS * attention(100, 850)


def test_a_forward_pass_takes_two_operations_a_weight_and_token(plan):
    seconds = plan("7b", perfect=True, cluster="4x8xH100").seconds
    assert seconds.reference == pytest.approx(max(FORWARD / 32 / FLOPS, 4 * 2 * P * 31 / 32 / 50e9))


def test_forward_and_backward_take_three_passes_and_one_more_where_layers_are_recomputed(plan):
    fast = {"perfect": True, "cluster": "1x8xH100"}  # links within a node do not bound it
    head = 2 * EMBEDDING * TRAINED
    again = plan("7b_node", **fast).seconds
    assert again.forward_backward == pytest.approx((4 * (FORWARD - head) + 4 * head) / 8 / FLOPS)
    assert again.learner_bound == "operations"
    kept = plan("7b_node", "model.gradient_checkpointing=false", **fast).seconds
    assert kept.forward_backward == pytest.approx((3 * (FORWARD - head) + 4 * head) / 8 / FLOPS)
    frozen = plan("7b_node", "learner.lora_rank=8", "model.gradient_checkpointing=false", **fast).seconds
    assert frozen.forward_backward == pytest.approx((2 * (FORWARD - head) + 3 * head) / 8 / FLOPS)


def test_prompts_that_are_not_shared_are_computed_for_each_completion(plan):
    shared, repeated = (plan("7b", f"learner.share_prompts={s}", perfect=True).load for s in ("true", "false"))
    assert shared.computed_tokens == 1024 * 850 + 5120 * 100
    assert repeated.computed_tokens == 5120 * 950


def test_slow_links_bound_a_step_by_two_gathers_and_a_reduction_a_micro_batch(plan, tmp_path):
    slow = tmp_path / "slow.yaml"
    slow.write_text("gpu: H100\nnodes: 4\nnode_gb_s: 5\n")
    found = plan("7b", perfect=True, cluster=str(slow))
    assert found.seconds.learner_bound == "links"
    assert found.seconds.forward_backward == pytest.approx(4 * 3 * 2 * P * 31 / 32 / 5e9)  # one micro-batch in each of four optimizer steps
    near = plan("7b", "learner.hpz_ranks=8", perfect=True, cluster=str(slow))  # the backward pass gathers within a node
    assert near.seconds.forward_backward == pytest.approx(4 * (2 * 2 * P * 31 / 32 / 5e9 + 2 * P * 7 / 8 / 450e9))


def test_decoding_reads_weights_and_keys_once_a_token(plan):
    found = plan("7b", perfect=True)
    per_step = (2 * (BODY + EMBEDDING) / 2 + 320 * 900 * 28_672) / MEMORY  # two workers; 850 tokens of prompt and half a completion
    reduced = 2 * LAYERS * (2 * 1 / 2 * 320 * HIDDEN * 2) / 450e9
    assert found.seconds.decode == pytest.approx(100 * (per_step + reduced))
    assert found.seconds.decode_bound == "memory"


def test_decoding_without_graphs_is_bound_by_latency(plan):
    assert plan("7b", "engine.enforce_eager=true").seconds.decode_bound == "latency"


def test_a_prompt_is_prefilled_once_for_its_group(plan):
    each = 2 * BODY * 850 + attention(850, 0)
    assert plan("7b", perfect=True).seconds.prefill == pytest.approx(64 * each / (2 * FLOPS))  # 1,024 prompts over 16 engines


def test_an_optimizer_step_moves_38_bytes_a_parameter(plan):
    assert plan("7b", perfect=True).seconds.optimizer == pytest.approx(4 * 38 * P / 32 / MEMORY)


def test_a_push_gathers_and_sends_every_name(plan, apart):
    assert pushed_bytes(plan("7b").load) == 2 * P
    assert pushed_bytes(plan("7b", "model.path=Qwen/Qwen2.5-3B").load) == 2 * (3_085_938_688 + 151_936 * 2048)  # the tied head again
    assert plan("7b", perfect=True).seconds.push == pytest.approx(2 * P * 31 / 32 / 50e9 + 3 * 2 * P / MEMORY)
    far = plan("7b", *apart, perfect=True, cluster="8x8xH100").seconds
    assert far.push == pytest.approx(2 * P * 31 / 32 / 50e9 + 2 * P / 50e9)


def test_turns_move_the_states_over_the_bus_and_back(plan):
    found = plan("7b", perfect=True)
    states = 18 * P / 32 + 2 * HIDDEN**2 + 2 * (LAYERS * (3 * HIDDEN + 1024) + HIDDEN)
    assert found.seconds.turns == pytest.approx(2 * states / 64e9)
    shallow = plan("7b", "engine.sleep_level=1", perfect=True)
    assert shallow.seconds.turns == pytest.approx((2 * states + 2 * P) / 64e9)


def test_a_step_adds_up_and_overlaps_where_groups_may_be_stale(plan, apart):
    seconds = plan("7b", *apart, cluster="8x8xH100").seconds
    assert seconds.turns == 0
    assert seconds.step(overlapped=False) == pytest.approx(seconds.sampling + seconds.learning + seconds.push)
    assert seconds.step(overlapped=True) == pytest.approx(max(seconds.sampling, seconds.learning) + seconds.push)


def test_twice_the_gpus_halve_what_operations_bound(plan):
    one, two = (plan("7b_node", f"learner.num_ranks={n}", f"engine.num={n // 2}", cluster="1x16xH100") for n in (8, 16))
    assert two.seconds.forward_backward == pytest.approx(one.seconds.forward_backward / 2, rel=0.01)
