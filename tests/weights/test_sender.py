"""Pushes of a Transformers model into real engines, whole and with planted faults."""

import sys

import cloudpickle
import numpy as np
import pytest
import torch

from toolrl.errors import WeightSyncError

pytestmark = pytest.mark.stack

AIM = 1e-5  # nats, of the largest difference; a mean of as much stops a run


@pytest.fixture(scope="module")
def engines(engine_host, engine, tiny_models, make_engine_settings):
    """Engines by (tied, tensor parallel): one of each kind, so that two engines of a model differ in their workers too."""
    kinds = [(False, 2), (True, 1), (True, 2)]
    started = engine_host.start(
        *(make_engine_settings(tiny_models[tied], name=f"engine-{tied}-{tp}", tensor_parallel=tp) for tied, tp in kinds)
    )
    yield {(False, 1): engine, **dict(zip(kinds, started, strict=True))}
    engine_host.stop(started)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("workers", [(1,), (2,), (1, 2)], ids=["one worker", "two workers", "two engines"])
def test_after_a_push_the_engines_agree_with_the_learner_token_by_token(engines, pushing, tiny_models, tied, workers):
    push = pushing([engines[tied, tp] for tp in workers], tiny_models[tied])
    for version in (1, 2):
        push.disturb(seed=version)
        metrics = push.publish(version)
        assert metrics["weights/parity_max_abs_dlogp"] < AIM
    sent = sum(p.numel() for _, p in push.model.named_parameters(remove_duplicate=False))
    assert metrics["weights/bytes"] == 4 * sent
    assert push.gate.is_open


def fault(push, *, drop=(), scale=()):
    """Plant a fault between the model and the wire: tensors left out, or changed in value."""
    source = push.sender._source
    source._weights = [weight for weight in source._weights if weight.name not in drop]
    whole = type(source).__iter__

    class Faulty(type(source)):
        def __iter__(self):
            for name, tensor in whole(self):
                yield name, tensor * 1.001 if name in scale else tensor

    source.__class__ = Faulty


@pytest.mark.parametrize(
    "name",
    [
        "model.norm.weight",
        "lm_head.weight",
        "model.embed_tokens.weight",
        "model.layers.1.self_attn.k_proj.bias",
        "model.layers.0.mlp.up_proj.weight",
    ],
)
def test_a_tensor_that_is_not_sent_is_named(engine, pushing, tiny_models, name):
    push = pushing([engine], tiny_models[False])
    push.publish(1)
    fault(push, drop=[name])
    with pytest.raises(WeightSyncError, match=f"engine-0 worker 0: {name} did not arrive") as caught:
        push.publish(2)
    assert "elements loaded" in str(caught.value)  # the engine's own account, which does not know what was meant to be sent
    assert not push.gate.is_open


def test_a_tied_head_that_is_not_sent_is_named(engines, pushing, tiny_models):
    push = pushing([engines[True, 1]], tiny_models[True])
    fault(push, drop=["lm_head.weight"])
    with pytest.raises(WeightSyncError, match=r"lm_head\.weight did not arrive"):
        push.publish(1)


def test_any_tensor_scaled_by_a_thousandth_on_its_way_is_named(engine, pushing, tiny_models):
    push = pushing([engine], tiny_models[False])
    push.disturb(seed=5)  # the biases of a fresh model are zero
    scale = set()
    fault(push, scale=scale)
    for name, _ in push.model.named_parameters():
        scale.clear()
        scale.add(name)
        with pytest.raises(WeightSyncError, match=f"engine-0 worker 0: {name} arrived with other values than were sent"):
            push.publish(1)
    scale.clear()
    assert push.publish(2)["weights/parity_max_abs_dlogp"] < AIM


def test_a_tensor_scaled_by_a_thousandth_before_it_is_sent_is_seen_by_the_probe_where_it_moves_a_log_probability(
    engine, pushing, tiny_models
):
    push = pushing([engine], tiny_models[False])
    push.disturb(seed=5)
    truth = [push.logprobs(ids) for ids in push.probes]
    push.logprobs = lambda ids: truth[[id(each) for each in push.probes].index(id(ids))]
    caught = []
    for name, parameter in push.model.named_parameters():
        with torch.no_grad():
            kept = parameter.clone()
            parameter.mul_(1.001)
            moved = np.concatenate([np.abs(type(push).logprobs(push, ids) - t) for ids, t in zip(push.probes, truth, strict=True)]).mean()
            if moved > 1.1e-5:
                with pytest.raises(WeightSyncError, match=r"engine-0: mean .* more than 1e-05"):
                    push.publish(1)
                assert not push.gate.is_open
                caught.append(name)
            elif moved < 0.9e-5:
                push.publish(1)
            parameter.copy_(kept)
    assert len(caught) >= 22  # all but the biases of queries and keys, and what moves hardly anything


def keep_the_packed_head(worker):
    """Plant in a worker what vLLM's CPU backend did where a head is loaded in place: the packed copy stays that of before."""
    head, transfer = worker.model_runner.get_model().lm_head, worker.weight_transfer_engine
    packed, finish = head.cpu_linear, transfer.finish_weight_update

    def finish_without_the_head():
        finish()
        head.cpu_linear = packed
        transfer.finish_weight_update = finish

    transfer.finish_weight_update = finish_without_the_head


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_a_stale_head_is_seen_by_the_probe(engines, engine_host, pushing, tiny_models, tied):
    push = pushing([engines[tied, 1]], tiny_models[tied])
    push.publish(1)
    with torch.no_grad():
        for parameter in push.model.parameters():
            parameter.add_(1e-4 * torch.randn_like(parameter))  # about what an optimizer step does
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    engine_host.run(engines[tied, 1]._llm.collective_rpc(keep_the_packed_head))
    with pytest.raises(WeightSyncError, match="largest"):
        push.publish(2)
    assert not push.gate.is_open
    assert push.publish(3)["weights/parity_max_abs_dlogp"] < AIM


def test_a_load_that_fails_in_the_engine_is_raised_as_the_engine_tells_it_and_a_new_group_mends_it(engine, pushing, tiny_models):
    push = pushing([engine], tiny_models[False])
    push.publish(1)
    meant = push.model.model.norm.weight.data
    push.model.model.norm.weight.data = torch.ones(3)  # no such shape in the engine
    with pytest.raises(WeightSyncError, match="engine-0: update_weights failed"):
        push.publish(2)
    push.model.model.norm.weight.data = meant
    assert push.publish(3)["weights/parity_max_abs_dlogp"] < AIM


def test_a_push_without_a_group_is_refused(engine, pushing, tiny_models):
    with pytest.raises(RuntimeError, match="connect"):
        pushing([engine], tiny_models[False]).sender.send()


def test_the_model_on_the_engine_is_not_reached_by_later_changes_of_the_learner(engine, engine_host, pushing, tiny_models):
    push = pushing([engine], tiny_models[False])
    push.publish(1)
    ids = [np.arange(20, 60, dtype=np.int32)]
    before = engine_host.run(engine.probe(ids))[0]
    push.disturb(seed=9)
    np.testing.assert_array_equal(engine_host.run(engine.probe(ids))[0], before)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_a_checkpoint_loaded_from_its_files_is_the_one_that_answers(engines, engine_host, tiny_models, other_checkpoint, tied):
    folder, model = other_checkpoint(tiny_models[tied])
    ids = np.random.default_rng(3).integers(10, 1000, 100).astype(np.int32)
    with torch.no_grad():
        logp = torch.log_softmax(model(torch.as_tensor(ids, dtype=torch.int64)[None], use_cache=False).logits[0, :-1], dim=-1)
    wanted = logp.gather(1, torch.as_tensor(ids[1:], dtype=torch.int64)[:, None])[:, 0].numpy()
    for workers in (1, 2):
        engine_host.run(engines[tied, workers].load(str(folder)))
        assert np.abs(engine_host.run(engines[tied, workers].probe([ids]))[0] - wanted).max() < 1e-4
