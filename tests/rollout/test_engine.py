"""A real engine: seeds, log-probabilities, text, and requests in flight at a push."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from toolrl.errors import DeadlineError, RolloutError
from toolrl.types import Draw, Prompt, Sampling, VersionSpan

pytestmark = pytest.mark.stack

PROMPT = Prompt("p", "test", (), (), ())
SAMPLED = Sampling(n=8, temperature=0.7, top_p=1.0, max_tokens=48)


def draw(number=0, *, seed=None, length=150):
    """A draw of random tokens; longer than a block of the cache, so that prefixes are shared."""
    ids = np.random.default_rng(number).integers(10, 1000, length).astype(np.int32)
    return Draw(number, PROMPT, ids, 10**12 + 1000 * number if seed is None else seed)


async def together(coroutines):
    return await asyncio.gather(*coroutines)


def same(a, b):
    """Whether two completions are equal bit for bit."""
    return np.array_equal(a.token_ids, b.token_ids) and np.array_equal(a.logprobs, b.logprobs)


def test_member_i_is_the_single_request_with_seed_plus_i(engine_host, engine):
    group = engine_host.run(engine.sample(draw(), SAMPLED))
    for i, member in enumerate(group.completions):
        alone = engine_host.run(engine.sample(draw(seed=draw().seed + i), replace(SAMPLED, n=1)))
        assert member.seed == draw().seed + i
        assert np.array_equal(alone.completions[0].token_ids, member.token_ids)
    assert len({member.token_ids.tobytes() for member in group.completions}) == 8


def test_a_group_is_made_again_bit_for_bit_in_a_crowded_batch(engine_host, engine):
    first = engine_host.run(engine.sample(draw(), SAMPLED))
    crowd = engine_host.run(together(engine.sample(draw(i), SAMPLED) for i in (3, 0, 5, 1, 4, 2)))
    assert all(same(a, b) for a, b in zip(first.completions, crowd[1].completions, strict=True))


def test_a_cached_prefix_changes_no_bit(engine_host, engine):
    engine_host.run(engine.reset_caches())
    fresh = engine_host.run(engine.sample(draw(), SAMPLED))
    cached = engine_host.run(engine.sample(draw(), SAMPLED))
    assert all(same(a, b) for a, b in zip(fresh.completions, cached.completions, strict=True))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_are_those_of_a_plain_forward_at_the_temperature(engine_host, engine, pushing, tiny_models, temperature):
    push = pushing([engine], tiny_models[False])
    push.publish(1)
    group = engine_host.run(engine.sample(draw(), replace(SAMPLED, temperature=temperature)))
    for member in group.completions:
        whole = push.logprobs(np.concatenate([group.draw.token_ids, member.token_ids]), temperature)
        np.testing.assert_allclose(member.logprobs, whole[-len(member.token_ids) :], atol=1e-5)


def test_greedy_takes_the_likeliest_token(engine_host, engine, pushing, tiny_models):
    push = pushing([engine], tiny_models[False])
    push.publish(1)
    group = engine_host.run(engine.sample(draw(), Sampling(n=1, temperature=0.0, top_p=1.0, max_tokens=5)))
    ids = group.draw.token_ids
    for token in group.completions[0].token_ids:
        assert push.likeliest(ids) == token
        ids = np.append(ids, token)


def test_several_greedy_completions_are_refused(engine_host, engine):
    with pytest.raises(ValueError, match="n=8"):
        engine_host.run(engine.sample(draw(), replace(SAMPLED, temperature=0.0)))


def test_text_keeps_every_special_token_but_the_stop(engine):
    ids = engine._tokenizer("<|im_start|><think>x</think>", add_special_tokens=False)["input_ids"]
    assert engine._decode(ids) == "<|im_start|><think>x</think>"


def test_a_prompt_that_does_not_fit_fails_by_name_and_the_engine_lives(engine_host, engine):
    with pytest.raises(RolloutError, match=r"engine-0: draw 7 failed: .*1100"):
        engine_host.run(engine.sample(draw(7, length=1100), SAMPLED))
    engine_host.run(engine.sample(draw(), replace(SAMPLED, max_tokens=2)))


def test_a_group_that_takes_too_long_ends_at_its_deadline(engine_host, engine, monkeypatch):
    monkeypatch.setattr(engine, "settings", replace(engine.settings, sample_timeout_s=0.01))
    with pytest.raises(DeadlineError, match=r"engine-0: draw 0 took longer than 0\.01 s"):
        engine_host.run(engine.sample(draw(), replace(SAMPLED, max_tokens=800)))


def test_metrics_are_of_the_time_since_they_were_last_asked_for(engine_host, engine):
    engine.metrics()
    group = engine_host.run(engine.sample(draw(), SAMPLED))
    found = engine.metrics()
    assert found["generated_tokens"] == sum(len(c.token_ids) for c in group.completions)
    assert found["running_max"] == 8
    assert engine.metrics()["generated_tokens"] == 0


LONG = Sampling(n=4, temperature=1.0, top_p=1.0, max_tokens=600)


def push_in_flight(engine_host, engine, push):
    """Push version 2 into the middle of a group; return the group."""
    push.publish(1)

    async def scenario():
        engine.metrics()
        sampled = 0

        async def sample():
            async with push.gate:
                return await engine.sample(draw(1), LONG)

        sampling = asyncio.create_task(sample())
        while sampled < 100:
            assert not sampling.done()
            sampled += engine.metrics()["generated_tokens"]
            await asyncio.sleep(0.001)
        push.before = {k: v.clone() for k, v in push.model.state_dict().items()}
        push.disturb(seed=3)
        await push.publisher.publish(2)
        return await sampling

    return engine_host.run(scenario())


def parts(push, group, member):
    """A completion's log-probabilities beside those of a full forward under the new weights and under the old."""
    ids = np.concatenate([group.draw.token_ids, member.token_ids])
    new = push.logprobs(ids)[-len(member.token_ids) :]
    now = {k: v.clone() for k, v in push.model.state_dict().items()}
    push.model.load_state_dict(push.before)
    old = push.logprobs(ids)[-len(member.token_ids) :]
    push.model.load_state_dict(now)
    return old, new


def crossing(group):
    """Members that were in the middle when the version changed; spans cover every token in order."""
    found = [member for member in group.completions if len(member.spans) == 2]
    assert found
    for member in found:
        at = member.spans[0].end
        assert 0 < at < len(member.token_ids)
        assert member.spans == (VersionSpan(1, 0, at), VersionSpan(2, at, len(member.token_ids)))
        assert member.oldest == 1
    return found


def test_recompute_goes_on_as_a_full_forward_of_the_new_weights_would(engine_host, engine, pushing, tiny_models):
    push = pushing([engine], tiny_models[False], in_flight="recompute")
    group = push_in_flight(engine_host, engine, push)
    for member in crossing(group):
        at = member.spans[0].end
        old, new = parts(push, group, member)
        np.testing.assert_allclose(member.logprobs[:at], old[:at], atol=1e-5)
        np.testing.assert_allclose(member.logprobs[at:], new[at:], atol=1e-5)
        assert np.abs(old - new).max() > 0.01  # or nothing was shown


def test_keep_kv_goes_on_with_keys_and_values_of_the_old_weights(engine_host, engine, pushing, tiny_models):
    push = pushing([engine], tiny_models[False], in_flight="keep_kv")
    group = push_in_flight(engine_host, engine, push)
    for member in crossing(group):
        at = member.spans[0].end
        old, new = parts(push, group, member)
        np.testing.assert_allclose(member.logprobs[:at], old[:at], atol=1e-5)
        assert np.abs(member.logprobs[at:] - new[at:]).max() > 1e-3


def test_after_keep_kv_a_new_request_meets_no_prefix_of_the_old_weights(engine_host, engine, pushing, tiny_models):
    push = pushing([engine], tiny_models[False], in_flight="keep_kv")
    push_in_flight(engine_host, engine, push)
    group = engine_host.run(engine.sample(draw(1), replace(LONG, max_tokens=4)))
    for member in group.completions:
        np.testing.assert_allclose(member.logprobs, parts(push, group, member)[1], atol=1e-5)


def test_drain_lets_those_in_flight_end_under_their_version(engine_host, engine, pushing, tiny_models):
    push = pushing([engine], tiny_models[False], in_flight="drain")
    group = push_in_flight(engine_host, engine, push)
    assert {span.version for member in group.completions for span in member.spans} == {1}


def test_after_a_load_it_samples_as_the_other_checkpoint_does_whatever_it_had_cached(engine_host, engine, tiny_models, other_checkpoint):
    import torch

    folder, model = other_checkpoint(tiny_models[False])
    ids = draw(7).token_ids
    before = engine_host.run(engine.probe([ids]))[0]
    engine_host.run(engine.load(str(folder)))
    after = engine_host.run(engine.probe([ids]))[0]
    with torch.no_grad():
        logp = torch.log_softmax(model(torch.as_tensor(ids, dtype=torch.int64)[None], use_cache=False).logits[0, :-1], dim=-1)
    wanted = logp.gather(1, torch.as_tensor(ids[1:], dtype=torch.int64)[:, None])[:, 0].numpy()
    assert np.abs(before - wanted).max() > 0.1
    assert np.abs(after - wanted).max() < 1e-4
    (completion,) = engine_host.run(engine.sample(draw(7), replace(SAMPLED, n=1, temperature=0.0))).completions
    with torch.no_grad():
        likeliest = int(model(torch.as_tensor(ids, dtype=torch.int64)[None], use_cache=False).logits[0, -1].argmax())
    assert completion.token_ids[0] == likeliest
    assert {span.version for span in completion.spans} == {0}


def test_a_checkpoint_that_lacks_weights_is_not_loaded_in_silence(engine_host, engine, tiny_models, other_checkpoint):
    folder, _ = other_checkpoint(tiny_models[False], without=("model.layers.1.mlp.down_proj.weight",))
    with pytest.raises(RolloutError, match=r"does not hold the whole model: model\.layers\.1\.mlp\.down_proj: 0 of 8192 elements loaded"):
        engine_host.run(engine.load(str(folder)))
