"""Memory of Qwen2.5-7B, worked by hand, and that each setting moves the terms it should and no other."""

import pytest

from toolrl.learner import deepspeed_config, logprobs
from toolrl.plan import engine_memory, learner_memory
from toolrl.plan.engine_memory import EngineMemory
from toolrl.plan.phases import bucket_bytes, phases
from toolrl.plan.terms import total
from toolrl.rollout import settings

P = 7_615_616_512
EMBEDDING = 152_064 * 3584
LAYERS, HIDDEN, INNER, KEYS = 28, 3584, 18_944, 512
GIB = 2**30


def terms(found):
    return {term.name: term.num_bytes for term in found}


def phase(load, name):
    return next(each for each in phases(load) if each.name == name)


def test_what_the_parts_are_bounded_by_is_what_is_planned_with():
    assert learner_memory.SMALLEST_BUCKET == deepspeed_config.SMALLEST_BUCKET
    assert learner_memory.SLICE_ELEMENTS == logprobs.SLICE_ELEMENTS
    assert engine_memory.MIN_BATCHED_TOKENS == settings.MIN_BATCHED_TOKENS


def test_states_of_a_rank_are_18_bytes_a_parameter_over_the_ranks(load):
    states = terms(load("7b").learner.states())
    assert states == {
        "weights": 2 * P / 32,
        "master weights": 4 * P / 32,
        "optimizer states": 8 * P / 32,
        "gradient sums": 4 * P / 32,
        "gradient bucket": 2 * HIDDEN**2,
        # norms and biases: up to 262,144 elements each
        "small parameters kept whole": 2 * (LAYERS * (2 * HIDDEN + HIDDEN + 2 * KEYS) + HIDDEN),
    }
    four = sum(states[name] for name in ("weights", "master weights", "optimizer states", "gradient sums"))
    assert four == pytest.approx(4.28e9, rel=1e-3)  # conf/tool_n1_7b.yaml says 4.3 GB


def test_float32_needs_16_bytes_and_a_copy(load):
    states = terms(load("7b", "model.dtype=float32").learner.states())
    assert sum(states[name] for name in ("weights", "master weights", "optimizer states", "gradient sums")) == 20 * P / 32


def test_a_reference_is_held_where_there_is_a_penalty_and_on_the_host_where_asked(load):
    assert "reference" not in terms(load("7b", "algo.kl_coef=0").learner.states())
    assert terms(load("7b").learner.on_host()) == {"reference": 2 * P / 32}
    assert terms(load("7b", "learner.offload_reference=false").learner.states())["reference"] == 2 * P / 32
    lora = load("7b", "learner.offload_reference=false", "learner.lora_rank=8").learner
    assert "reference" not in terms(lora.states())  # it is the base


def test_the_optimizer_on_the_host_leaves_weights_and_bucket(load):
    learner = load("7b", "learner.offload_optimizer=true", "learner.offload_reference=false").learner
    assert set(terms(learner.states())) == {"weights", "reference", "gradient bucket", "small parameters kept whole"}
    assert total(learner.on_host()) == 20 * P / 32  # master 4, moments 8, sums 4, and the gradient that the optimizer is handed 4


def test_lora_trains_its_matrices_only(load):
    load = load("7b", "learner.lora_rank=16")
    matrices = 16 * LAYERS * (2 * HIDDEN + 2 * (HIDDEN + KEYS) + 2 * HIDDEN + 3 * (HIDDEN + INNER))
    states = terms(load.learner.states())
    assert states["weights"] == 2 * (P + matrices) / 32
    assert states["optimizer states"] == 8 * matrices / 32


def test_kept_activations_are_one_input_a_layer_where_layers_are_recomputed(load):
    step = terms(load("7b").learner.step(30_720))
    assert step["activations"] == 30_720 * HIDDEN * 2 * LAYERS  # 6.2 GB, as conf/tool_n1_7b.yaml says


def test_activations_of_a_layer_worked_by_hand(load):
    # Two norms of Liger's: input and output, 2 bytes each, and a number of 4. Queries and output of attention, keys and values; a sum for
    # each of 28 heads. Gate, up and their product.
    by_hand = 2 * (4 * HIDDEN + 4) + 2 * (2 * HIDDEN + 2 * KEYS) + 4 * 28 + 2 * 3 * INNER
    learner = load("7b", "model.gradient_checkpointing=false").learner
    assert learner.layer_per_token() == by_hand == 158_840
    assert terms(learner.step(1000))["activations"] == 1000 * LAYERS * by_hand
    # Transformers' own norms keep their input in float32, what they normalised, and their output; its gate keeps one tensor more.
    plain = load("7b", "model.liger=false").learner
    assert plain.layer_per_token() - by_hand == 2 * 4 * HIDDEN + 2 * INNER


def test_ranks_that_share_a_sequence_share_its_activations(load):
    alone, four = (load("7b", f"learner.sequence_parallel={n}").learner.step(30_720) for n in (1, 4))
    assert terms(four)["activations"] == terms(alone)["activations"] / 4


def test_one_layer_and_the_head_lie_gathered_where_a_billion_elements_lie_between(load):
    matrices = 2 * HIDDEN**2 + 2 * HIDDEN * KEYS + 3 * HIDDEN * INNER
    assert load("7b").learner.gathered == pytest.approx(2 * (matrices + EMBEDDING), rel=1e-5)
    small = load("7b", "model.path=Qwen/Qwen2.5-0.5B").learner
    assert small.gathered + small.persistent().num_bytes == pytest.approx(2 * small.shape.parameters, rel=1e-5)  # twice of all is below 10⁹


def test_an_engine_shares_weights_and_keys_over_its_workers(load):
    engine = EngineMemory(load("7b"))
    assert engine.weights == P  # 2 bytes, two workers
    assert engine.token == 2 * LAYERS * 2 * KEYS / 2 == 28_672  # conf/tool_n1_7b.yaml says 29 kB
    assert EngineMemory(load("7b", "engine.tensor_parallel=4", "engine.num=8")).token == 14_336
    sampler, prefill = 320 * 152_064 * 18, 12_288 * 2 * (4 * HIDDEN + (3 * INNER + HIDDEN + 2 * KEYS) / 2)
    cache = 0.6 * 79.1 * GIB - P - GIB - prefill - sampler - GIB
    assert engine.cache == pytest.approx(cache, rel=1e-9)
    assert engine.cache_tokens == int(cache / 28_672)
    assert engine.concurrency == int(engine.cache_tokens / (100 + 850 / 5))
    assert engine.in_flight == 320  # its share of 1,024 × 5 completions over 16 engines


def test_more_workers_than_key_value_heads_hold_each_head_several_times(load):
    eight = EngineMemory(load("7b", "engine.tensor_parallel=8", "engine.num=4", "model.path=Qwen/Qwen2.5-72B"))
    assert eight.token == 2 * 80 * 2 * 1024 / 8
    assert EngineMemory(load("7b", "engine.tensor_parallel=7", "engine.num=1", "learner.num_ranks=7")).token == 2 * LAYERS * 2 * KEYS / 4


def test_an_embedding_larger_than_a_bucket_travels_alone(load):
    assert bucket_bytes(load("7b", "weights.bucket_mib=256")) == 2 * EMBEDDING
    assert bucket_bytes(load("7b", "weights.bucket_mib=4096")) == 4 * GIB


def test_a_colocated_push_holds_both_models_and_three_buckets(load):
    held = terms(phase(load("7b"), "push").terms)
    assert held["engine's weights"] == P
    assert held["learner's weights"] == 2 * P / 32
    assert held["gathered bucket, copy, shared buffer"] == 3 * 2 * EMBEDDING


def test_parked_states_take_page_locked_memory_in_powers_of_two(load):
    node = terms(phase(load("7b"), "host memory").terms)
    assert node["8 × parked master weights"] == 8 * 2**30  # 0.95 GB each
    assert node["8 × parked optimizer states"] == 8 * 2 * 2**30
    assert node["8 × reference"] == 8 * 2 * P / 32  # offloaded by DeepSpeed: it is there all the time


def test_a_shallow_sleeper_keeps_its_weights_on_the_host(load):
    assert "weights of sleeping engines" not in terms(phase(load("7b"), "host memory").terms)
    assert terms(phase(load("7b", "engine.sleep_level=1"), "host memory").terms)["weights of sleeping engines"] == 8 * P


def test_engines_and_learner_apart_have_phases_of_their_own(load, apart):
    found = [(each.where, each.name) for each in phases(load("7b", *apart, cluster="8x8xH100"))]
    assert found == [
        ("engine GPU", "start"), ("engine GPU", "sampling"), ("engine GPU", "push and probe"),
        ("learner GPU", "forward and backward"), ("learner GPU", "optimizer step"), ("learner GPU", "push"), ("node", "host memory"),
    ]  # fmt: skip
