"""A Transformers model in the learner's place and a real engine on one GPU take turns: sleep, wake, hand-over by CUDA IPC."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import torch

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("one_gpu"), pytest.mark.timeout(600)]

SHARE = 0.3
PROMPT = np.arange(20, 60, dtype=np.int32)


class Pair:
    """The engine, and the model whose weights it gets: `protocols` of both sides of a turn."""

    def __init__(self, host, settings, path, level):
        from transformers import AutoModelForCausalLM

        from toolrl.config.schema import WeightsConfig
        from toolrl.weights.client import EngineLink
        from toolrl.weights.gate import Gate
        from toolrl.weights.membership import Membership
        from toolrl.weights.push import Publisher
        from toolrl.weights.sender import WeightSender
        from toolrl.weights.turns import Turns

        (self.engine,) = host.start(settings)
        self.gate = Gate()
        limits = {"engine_timeout_s": 120.0, "learner_timeout_s": 120.0, "drain_timeout_s": 60.0}
        self.turns = Turns([self.engine], self, self.gate, sleep_level=level, **limits)
        host.run(self.turns.begin())
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).to("cuda").eval()
        self.sender = WeightSender(self.model, rank=0, backend="ipc", bucket_bytes=2**17, dtype=torch.bfloat16)
        self._links = [EngineLink("engine-0", 1, lambda method, *args: host.submit(getattr(self.engine, method)(*args)))]
        probes = list(np.random.default_rng(0).integers(10, 1000, (4, 100)).astype(np.int32))
        common = {"dtype": "bfloat16", "probes": probes, "drain_timeout_s": 60.0, "turns": self.turns}
        self.publisher = Publisher(Membership([self.engine]), self, self.gate, WeightsConfig(timeout_s=120.0), **common)

    async def onload(self):
        self.model.to("cuda")

    async def offload(self, *, parameters):
        if parameters:
            self.model.to("cpu")
            torch.cuda.empty_cache()

    async def connect(self, engines):
        await asyncio.to_thread(self.sender.connect, "127.0.0.1", self._links, 60.0)

    async def send(self):
        return await asyncio.to_thread(self.sender.send)

    async def probe(self, sequences):
        return await asyncio.to_thread(lambda: [self._logprobs(ids) for ids in sequences])

    def disturb(self, seed):
        """Give the model other weights."""
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))

    @torch.no_grad()
    def _logprobs(self, ids):
        tokens = torch.as_tensor(ids, dtype=torch.int64, device="cuda")
        logp = torch.log_softmax(self.model(tokens[None], use_cache=False).logits[0, :-1].float(), dim=-1)
        return logp.gather(1, tokens[1:, None])[:, 0].cpu().numpy()


@pytest.fixture(scope="module", params=[1, 2], ids=["level 1", "level 2"])
def pair(request, one_gpu, tiny_models, make_engine_settings, make_engine_host):
    """An engine that sleeps, and its learner."""
    from toolrl.rollout.settings import environment

    settings = replace(
        make_engine_settings(tiny_models[False]),
        dtype="bfloat16",
        device="cuda",
        weights_backend="ipc",
        sleeps=True,
        gpu_memory_utilization=SHARE,
    )
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment(settings).items():
            patch.setenv(key, value)
        host = make_engine_host()
        found = Pair(host, settings, tiny_models[False], request.param)
        found.host, found.level = host, request.param
        yield found
        host.stop([found.engine])
        host.close()


def test_after_each_turn_the_engine_agrees_with_the_learner(pair):
    for version in range(3):
        pair.host.run(pair.turns.to_learner())
        pair.disturb(seed=version)
        metrics = pair.host.run(pair.publisher.publish(version)).metrics
        assert metrics["weights/parity_mean_abs_dlogp"] < 0.05
        assert pair.gate.is_open


def engines_turn(pair):
    """Whatever the test before left: the engine awake, with weights."""
    pair.host.run(pair.turns.to_learner())
    pair.host.run(pair.publisher.publish(0))


def test_a_sleeping_engine_gives_its_memory_back(pair):
    engines_turn(pair)
    awake, total = torch.cuda.mem_get_info()
    pair.host.run(pair.turns.to_learner())
    asleep, _ = torch.cuda.mem_get_info()
    assert asleep - awake > 0.8 * SHARE * total - 3 * 2**30  # less the contexts and what vLLM keeps


def test_level_1_wakes_with_the_weights_it_had(pair):
    if pair.level != 1:
        pytest.skip("level 2 drops the weights")
    engines_turn(pair)

    async def there_and_back():
        before = await pair.engine.probe([PROMPT])
        await pair.engine.sleep(1)
        await pair.engine.wake("weights")
        await pair.engine.wake("kv_cache")
        return before, await pair.engine.probe([PROMPT])

    (before,), (after,) = pair.host.run(there_and_back())
    np.testing.assert_array_equal(before, after)
