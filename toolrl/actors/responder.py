"""Our own engines as `Responder`: a prompt goes through the template and the tokenizer, its completion comes back as text.

Ask ─ encode ─> token ids ─> EnginePool ─> the completion's text, from the object store ─> Reply
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from toolrl.actors.pool import EnginePool
from toolrl.actors.wait import objects
from toolrl.errors import ReplyError, RolloutError
from toolrl.rollout.replies import Ask, Reply
from toolrl.types import Draw, Group, Prompt


class EngineResponder:
    """Implements `replies.Responder`.

    Args:
        pool: Engines that have started.
        encode: Prompt -> token ids [T], up to and including the header of the assistant's turn.
        max_model_len: Longest prompt plus completion that the engines hold, in tokens.
        timeout_s: Longest wait for a completion to come out of the object store.
    """

    def __init__(self, pool: EnginePool, encode: Callable[[Prompt], NDArray[np.int32]], *, max_model_len: int, timeout_s: float) -> None:
        self._pool, self._encode = pool, encode
        self._max_model_len, self._timeout_s = max_model_len, timeout_s
        self._numbers = count()

    async def reply(self, ask: Ask) -> Reply:
        """Answer one ask. Raises ReplyError where the prompt does not fit, RolloutError or DeadlineError where an engine failed."""
        ids = self._encode(ask.prompt)
        room = self._max_model_len - len(ids)
        if room < ask.sampling.max_tokens:
            raise ReplyError(
                f"prompt {ask.prompt.id}: {len(ids)} tokens leave {max(room, 0)} of engine.max_model_len={self._max_model_len} for a "
                f"completion of up to {ask.sampling.max_tokens}; raise it"
            )
        ref = await self._pool.sample(Draw(next(self._numbers), ask.prompt, ids, ask.seed), ask.sampling)
        found: list[Group] = await objects("a completion", [ref.handle], timeout_s=self._timeout_s, error=RolloutError)
        (completion,) = found[0].completions
        return Reply(completion.text, completion.finish_reason, len(ids), len(completion.token_ids))
