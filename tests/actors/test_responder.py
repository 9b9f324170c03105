"""Our engines as a responder: text comes back with its lengths, and a prompt that leaves no room is its own error."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from toolrl.actors.responder import EngineResponder
from toolrl.errors import ReplyError
from toolrl.rollout.replies import Ask
from toolrl.types import Prompt, Sampling

PROMPT = Prompt("p", "test", (), (), ())


class Pool:
    """Answers each draw at once with its seed as text."""

    def __init__(self):
        self.draws = []

    async def sample(self, draw, sampling):
        self.draws.append(draw)

        async def group():
            completion = SimpleNamespace(text=f"seed {draw.seed}", finish_reason="length", token_ids=np.zeros(3, np.int32))
            return SimpleNamespace(completions=(completion,))

        return SimpleNamespace(handle=group())


def reply(pool, *, prompt_tokens, max_tokens, seed=5):
    responder = EngineResponder(pool, lambda _: np.zeros(prompt_tokens, np.int32), max_model_len=100, timeout_s=5.0)
    return asyncio.run(responder.reply(Ask(PROMPT, 0, Sampling(1, 0.0, 1.0, max_tokens), seed)))


def test_a_reply_has_the_text_and_both_lengths_of_what_was_drawn_with_the_asks_seed():
    pool = Pool()
    found = reply(pool, prompt_tokens=60, max_tokens=40)
    assert (found.text, found.finish_reason, found.prompt_tokens, found.completion_tokens) == ("seed 5", "length", 60, 3)
    assert [draw.prompt for draw in pool.draws] == [PROMPT]


def test_a_prompt_that_leaves_too_little_room_is_not_sampled_and_says_what_to_raise():
    pool = Pool()
    with pytest.raises(
        ReplyError, match=r"prompt p: 61 tokens leave 39 of engine\.max_model_len=100 for a completion of up to 40; raise it"
    ):
        reply(pool, prompt_tokens=61, max_tokens=40)
    assert pool.draws == []
