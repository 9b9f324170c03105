"""Makes the Gloo transport known to vLLM, on the learner and, through the entry point `vllm.general_plugins`, in every engine process."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal

_PR_SET_PDEATHSIG = 1
"""Linux, prctl(2): the signal to get when the parent ends."""


def register() -> None:
    """Register the Gloo backend with both of vLLM's factories. vLLM may call a plugin several times; the first one counts.

    A process of an engine also learns to end with the one that made it: vLLM's core outlives a parent that was killed, with all its memory.
    """
    if multiprocessing.parent_process() is not None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory, WeightTransferTrainerFactory

    if "gloo" not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine("gloo", "toolrl.weights.gloo_engine", "GlooEngine")
    if "gloo" not in WeightTransferTrainerFactory._registry:
        WeightTransferTrainerFactory.register_engine("gloo", "toolrl.weights.gloo_trainer", "GlooTrainer")
