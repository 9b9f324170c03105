"""A server that needs no vLLM."""

from pathlib import Path

import pytest


@pytest.fixture
def fake_vllm(monkeypatch):
    """Have servers run `fake_vllm` in vLLM's place; returns a function that says how it behaves."""
    monkeypatch.setattr("toolrl.serving.settings.MODULE", "fake_vllm")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return lambda how: monkeypatch.setenv("FAKE", how)


@pytest.fixture
def make_server_settings():
    """Make settings of a server: `make_server_settings(**changes)`."""
    from dataclasses import replace

    from toolrl.pipelines.serve import free_port
    from toolrl.rollout.settings import EngineSettings
    from toolrl.serving.settings import ServerSettings

    engine = EngineSettings(
        name="server",
        model_path="/models/m",
        dtype="float32",
        tensor_parallel=1,
        max_num_seqs=8,
        max_model_len=512,
        kv_cache_gib=0.125,
        gpu_memory_utilization=0.5,
        enforce_eager=True,
        threads=2,
        device="cpu",
        weights_backend="",
        sample_timeout_s=0.0,
        stop_token_ids=(7, 9),
    )

    def make(device="cpu", **changes):
        settings = ServerSettings(
            engine=replace(engine, device=device),
            name="m",
            host="127.0.0.1",
            port=free_port("127.0.0.1", 0),
            chat_template="{{ messages }}",
            start_timeout_s=20.0,
        )
        return replace(settings, **changes)

    return make
