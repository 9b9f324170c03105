"""Groups of learner ranks in processes of their own, plain Transformers models to compare them with, and batches to train."""

import os
import socket
import subprocess
import sys
from multiprocessing.connection import Listener
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from toolrl.algo.advantage import advantages
from toolrl.config.learning import AlgoConfig
from toolrl.testing.demo_model import tiny_model
from toolrl.types import Batch, Completion, Draw, Group, Prompt, Reason, ScoredGroup, Trajectory, Verdict, VersionSpan, WeightVersion

DEADLINE_S = 240
V = 200  # token ids used: a part of the vocabulary


class Ranks:
    """N ranks; `call` and `make` run on all of them at once and return one answer for each."""

    def __init__(self, num, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.num = num
        listener = Listener(str(folder / f"ranks{num}.sock"))
        listener._listener._socket.settimeout(DEADLINE_S)
        worker = Path(__file__).with_name("rank_worker.py")
        compiled = os.environ.get("TORCH_EXTENSIONS_DIR", str(Path(sys.prefix) / "torch_extensions"))  # kept from one run to the next
        env = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "TORCH_EXTENSIONS_DIR": compiled}
        self._processes = [
            subprocess.Popen([sys.executable, str(worker), listener.address, str(rank), str(num), str(port)], env=env)
            for rank in range(num)
        ]
        connections = [listener.accept() for _ in range(num)]
        self._connections = [connection for _, connection in sorted(((c.recv(), c) for c in connections), key=lambda pair: pair[0])]
        listener.close()

    def each(self, method, arguments, **kwargs):
        for connection, args in zip(self._connections, arguments, strict=True):
            connection.send((method, args, kwargs))
        answers = []
        for rank, connection in enumerate(self._connections):
            assert connection.poll(DEADLINE_S), f"rank {rank} does not answer {method}"
            answers.append(connection.recv())
        for fine, answer in answers:
            if not fine:
                raise answer
        return [answer for _, answer in answers]

    def make(self, *args, **kwargs):
        self.each("make", [args] * self.num, **kwargs)

    def call(self, method, *args):
        return self.each("call", [(method, *args)] * self.num)

    def step(self, shards, groups, *, gradients=False):
        """Train a batch; return what each rank returns, beside the gradient of each optimizer step where asked."""
        arguments = [(shard, {draw: groups[draw] for draw in shard.handles}) for shard in shards]
        if gradients:
            return self.each("step_with_gradients", arguments)
        return self.each("call", [("step", *args) for args in arguments])

    def states(self, algo, shards, groups):
        """Train a batch by other rules; return (metrics, trained groups, [(weights before, gradient) of each optimizer step])."""
        answers = self.each("states", [(algo, shard, {draw: groups[draw] for draw in shard.handles}) for shard in shards])
        trained = {draw: group for _, each, _ in answers for draw, group in each.items()}
        return answers[0][0], trained, answers[0][2]

    def weights(self):
        return self.each("weights", [()] * self.num)[0]

    def stop(self):
        for connection in self._connections:
            connection.send(("stop", (), {}))
        for process in self._processes:
            process.wait(DEADLINE_S)


@pytest.fixture(scope="session")
def one_rank(tmp_path_factory):
    ranks = Ranks(1, tmp_path_factory.mktemp("ranks"))
    yield ranks
    ranks.stop()


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory):
    ranks = Ranks(2, tmp_path_factory.mktemp("ranks"))
    yield ranks
    ranks.stop()


@pytest.fixture(params=[1, 2], ids=["one rank", "two ranks"])
def ranks(request):
    return request.getfixturevalue("one_rank" if request.param == 1 else "two_ranks")


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of tiny random models by (architecture, tied)."""
    made = {}
    for architecture in ("qwen2", "llama"):
        for tied in (False, True):
            folder = tmp_path_factory.mktemp(f"{architecture}-{tied}")
            tiny_model(folder, tied=tied, architecture=architecture)
            made[architecture, tied] = str(folder)
    return made


class Plain:
    """A plain Transformers model: one sequence at a time, no padding, full logits."""

    def __init__(self, path):
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")

    def logp(self, ids, temperature=1.0):
        """Log-probabilities of tokens 1 to T - 1."""
        ids = torch.as_tensor(np.asarray(ids), dtype=torch.int64)
        log_all = torch.log_softmax(self.model(input_ids=ids[None], use_cache=False).logits[0, :-1] / temperature, dim=-1)
        return log_all.gather(1, ids[1:, None])[:, 0]


@pytest.fixture
def plain():
    return Plain


class Made:
    """A batch, its groups by draw number, and the flat list of its (group, sample, advantage)."""

    def __init__(self, seed, model, *, num_prompts=8, n=3, temperature=1.0, dull=False, graded=False, truncated=0.0):
        rng = np.random.default_rng(seed)
        trajectories, self.groups, self.rows = [], {}, []
        for number in range(num_prompts):
            group = self._group(rng, number, n, model, temperature, truncated)
            rewards = [1.0] * n if dull else rng.random(n).tolist() if graded else list(rng.integers(0, 2, n).astype(float))
            verdicts = tuple(Verdict(reward, Reason.CORRECT if reward else Reason.WRONG_NAME) for reward in rewards)
            scored = ScoredGroup(group.ref(None, engine="e", sample_s=0.0), verdicts)
            trajectories.append(Trajectory(scored, advantages(AlgoConfig(), [rewards])[0]))
            self.groups[number] = group
            self.rows.append([(group, i, advantage) for i, advantage in enumerate(trajectories[-1].advantages)])
        self.batch = Batch(WeightVersion(0), tuple(trajectories))

    @staticmethod
    def _group(rng, number, n, model, temperature, truncated):
        prompt = rng.integers(0, V, rng.integers(3, 12)).astype(np.int32)
        completions = []
        for _ in range(n):
            tokens = rng.integers(0, V, rng.integers(2, 15)).astype(np.int32)
            with torch.no_grad():
                logp = model.logp(np.concatenate([prompt, tokens]), temperature)[len(prompt) - 1 :].numpy()
            noisy = logp + rng.normal(0, 0.3, len(tokens)).astype(np.float32)
            mask = rng.random(len(tokens)) < 0.8
            spans = (VersionSpan(WeightVersion(0), 0, len(tokens)),)
            reason = "length" if truncated and rng.random() < truncated else "stop"
            completions.append(Completion(tokens, noisy.astype(np.float32), mask, "", reason, 0, spans))
        return Group(Draw(number, Prompt(str(number), "", (), (), ()), prompt, 0), tuple(completions))


@pytest.fixture
def made():
    return Made


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
