"""The model as the learner computes with it: token ids in, log-probabilities out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from toolrl.learner.collate import Tokens
from toolrl.learner.logprobs import TokenLogprobs
from toolrl.learner.sequence import SequenceParallel


class Policy(nn.Module):
    """A causal language model whose forward pass ends in log-probabilities, never in logits.

    Args:
        causal: The Hugging Face model. Its own head module is not called; its weight is shared.
        sequence: The ranks that share each row; None where each rank has rows of its own.
    """

    def __init__(self, causal: Any, sequence: SequenceParallel | None = None) -> None:
        super().__init__()
        self.causal = causal
        self.head = TokenLogprobs(causal.get_output_embeddings().weight)
        self._sequence = sequence

    def forward(self, tokens: Tokens, temperature: float) -> tuple[Tensor, Tensor]:
        """Return log-probability and entropy of each trained token, float32 `[N]`."""
        if self._sequence is None:
            return self._compute(tokens, temperature)
        return self._sequence.run(self._compute, tokens, temperature)

    def _compute(self, tokens: Tokens, temperature: float) -> tuple[Tensor, Tensor]:
        hidden = self.causal.base_model(
            input_ids=tokens.input_ids, position_ids=tokens.position_ids, layout=tokens.layout, use_cache=False
        ).last_hidden_state
        trained = hidden[0].index_select(0, tokens.positions)
        logp, entropy = self.head(trained, tokens.labels, temperature)
        return logp, entropy
