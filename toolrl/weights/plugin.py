"""Makes the Gloo transport known to vLLM, on the learner and, through the entry point `vllm.general_plugins`, in every engine process."""

from __future__ import annotations


def register() -> None:
    """Register the Gloo backend with both of vLLM's factories. vLLM may call a plugin several times; the first one counts."""
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory, WeightTransferTrainerFactory

    if "gloo" not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine("gloo", "toolrl.weights.gloo_engine", "GlooEngine")
    if "gloo" not in WeightTransferTrainerFactory._registry:
        WeightTransferTrainerFactory.register_engine("gloo", "toolrl.weights.gloo_trainer", "GlooTrainer")
