"""Settings of an engine."""

import pickle
from dataclasses import replace

from toolrl.config.schema import ClusterConfig, EngineConfig, ModelConfig, RlConfig, SamplingConfig, WeightsConfig
from toolrl.config.task import DataConfig
from toolrl.rollout.settings import EngineSettings, environment

CONFIG = RlConfig(
    model=ModelConfig(dtype="float32"),
    data=DataConfig(max_prompt_tokens=100),
    sampling=SamplingConfig(max_tokens=28),
    engine=EngineConfig(tensor_parallel=2, kv_cache_gib=0.5, threads=3),
)
CPU = EngineSettings.from_config(CONFIG, "/models/m", "engine-1")
CUDA = EngineSettings.from_config(replace(CONFIG, cluster=ClusterConfig(device="cuda")), "/models/m", "engine-1")


def test_settings_come_from_the_sections_that_own_them():
    assert (CPU.name, CPU.model_path, CPU.dtype, CPU.tensor_parallel, CPU.device) == ("engine-1", "/models/m", "float32", 2, "cpu")


def test_the_longest_sequence_is_a_prompt_and_a_completion():
    assert CPU.max_model_len == 128


def test_the_cache_has_a_size_on_cpu_and_what_is_left_on_gpu():
    assert CPU.kv_cache_bytes == 2**29
    assert CUDA.kv_cache_bytes is None


def test_settings_travel_to_an_actor():
    assert pickle.loads(pickle.dumps(CPU)) == CPU  # noqa: S301 - our own bytes


def test_threads_of_an_engine_wait_without_spinning_on_shared_cores():
    found = environment(CPU)
    assert (found["OMP_NUM_THREADS"], found["OMP_WAIT_POLICY"], found["VLLM_CPU_OMP_THREADS_BIND"]) == ("3", "PASSIVE", "nobind")


def test_an_engine_on_cpu_keeps_the_code_of_few_shapes():
    """Nearly every step has a shape of its own: without a bound its core grew by 660 MiB in 1,000 steps (`make soak`)."""
    assert environment(CPU)["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "64"
    assert "ONEDNN_PRIMITIVE_CACHE_CAPACITY" not in environment(CUDA)


def test_the_sampler_is_not_compiled_where_the_engine_is_eager():
    assert environment(CPU)["TORCH_COMPILE_DISABLE"] == "1"
    assert "TORCH_COMPILE_DISABLE" not in environment(replace(CPU, enforce_eager=False))


def test_a_gpu_engine_is_left_its_threads():
    assert not {key for key in environment(CUDA) if key.startswith(("OMP", "VLLM_CPU"))}


def test_only_an_engine_that_shares_its_gpu_sleeps_and_only_shared_memory_is_described_by_pickles():
    colocated = replace(CONFIG, cluster=ClusterConfig(device="cuda", colocated=True), weights=WeightsConfig(backend="ipc"))
    shared = EngineSettings.from_config(colocated, "/models/m", "engine-1")
    assert (shared.sleeps, shared.weights_backend) == (True, "ipc")
    assert environment(shared)["VLLM_ALLOW_INSECURE_SERIALIZATION"] == "1"
    for apart in (CPU, CUDA):
        assert not apart.sleeps
        assert "VLLM_ALLOW_INSECURE_SERIALIZATION" not in environment(apart)
