"""From vLLM's outputs to ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from toolrl.errors import RolloutError
from toolrl.types import Completion, VersionSpan, WeightVersion

if TYPE_CHECKING:
    from vllm.outputs import CompletionOutput

Decode = Callable[[Sequence[int]], str]


def completion(output: CompletionOutput, *, seed: int, decode: Decode) -> Completion:
    """Turn a finished output into a completion. Raises RolloutError where it is not whole.

    The output must have been asked for with `logprobs=0` and `flat_logprobs=True`: one value a token. `seed` is the member's own.
    """
    if output.finish_reason not in ("stop", "length"):
        raise RolloutError(f"completion {output.index} ended with {output.finish_reason!r}")
    ids = np.asarray(output.token_ids, dtype=np.int32)
    logprobs = np.asarray(output.logprobs.logprobs, dtype=np.float32)
    if logprobs.shape != ids.shape:
        raise RolloutError(f"completion {output.index}: {len(ids)} tokens and {len(logprobs)} log-probabilities")
    if output.weight_versions is None:
        raise RolloutError(f"completion {output.index} does not say which weights sampled it")
    spans = tuple(VersionSpan(WeightVersion(int(span.version)), span.start, span.end) for span in output.weight_versions)
    written = ids[:-1] if output.finish_reason == "stop" else ids  # the stop token is trained, and is not text
    return Completion(
        token_ids=ids,
        logprobs=logprobs,
        loss_mask=np.ones(len(ids), dtype=np.bool_),
        text=decode(written.tolist()),
        finish_reason=output.finish_reason,
        seed=seed,
        spans=spans,
    )
