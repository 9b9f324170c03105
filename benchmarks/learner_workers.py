"""The two sides of `learner.py`, each in processes of its own that sleep between their steps: the learner's ranks, and a bare loop.

Both train the same sequences with the same loss: clipped policy loss × truncated importance weight, mean over all tokens, AdamW without
decay on vectors, the gradient clipped. A step is all from token ids in numpy arrays to updated weights.
"""

import multiprocessing
import os
import time
import traceback
from contextlib import suppress

import numpy as np
import torch

CLIP, CAP, LR, DECAY, NORM = 0.2, 2.0, 1e-5, 0.01, 1.0
PATIENCE_S = 600.0


class Worker:
    """A process that makes a `kind(*arguments)` and then takes steps when it is told to."""

    def __init__(self, kind, *arguments, environment=None):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, kind, arguments, environment or {}), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, *arguments) -> None:
        """Start a step."""
        self._connection.send(arguments)

    def answer(self):
        """Wait for its result."""
        if not self._connection.poll(PATIENCE_S):
            raise TimeoutError(f"no answer in {PATIENCE_S:.0f} s")
        fine, value = self._connection.recv()
        if not fine:
            raise RuntimeError(f"a worker failed:\n{value}")
        return value

    def stop(self) -> None:
        """End the process, which may have failed already."""
        with suppress(BrokenPipeError):
            self._connection.send(None)
        self._process.join(PATIENCE_S)


def _serve(connection, kind, arguments, environment) -> None:
    os.environ.update(environment)
    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    try:
        side = kind(*arguments)
        connection.send((True, None))
        while (request := connection.recv()) is not None:
            connection.send((True, side.step(*request)))
    except Exception:  # noqa: BLE001 - told to the parent
        connection.send((False, traceback.format_exc()))


class LearnerSide:
    """One rank of the learner, as a run uses it."""

    def __init__(self, path, rank, world_size, port, max_tokens):
        from toolrl.config.learning import AlgoConfig, LearnerConfig
        from toolrl.config.schema import ModelConfig
        from toolrl.learner.rank import LearnerRank

        threads = torch.get_num_threads()
        settings = LearnerConfig(
            num_ranks=world_size, threads=threads, lr=LR, weight_decay=DECAY, clip_grad_norm=NORM, max_tokens_per_microbatch=max_tokens
        )
        # The engine's log-probabilities are made up, so nothing is to be said of how far they are off.
        algo = AlgoConfig(clip_low=CLIP, clip_high=CLIP, importance_cap=CAP, mismatch_bound=0.0)
        self._rank = LearnerRank(ModelConfig(path=path, dtype="float32"), settings, algo=algo)
        self._rank.setup(rank, world_size, "127.0.0.1", port)

    def step(self, shard, groups):
        """Train a shard; return seconds, loss, gradient norm and the learner's own times."""
        start = time.perf_counter()
        metrics, _ = self._rank.step(shard, groups)
        seconds = time.perf_counter() - start
        parts = {name: metrics[f"learner/{name}"] for name in ("forward_s", "backward_s", "optimizer_s")}
        return seconds, metrics["learner/loss"], metrics["learner/grad_norm"], parts


class BareSide:
    """A loop over padded rows, as one writes it with PyTorch and Transformers; the head is applied to trained positions only."""

    def __init__(self, path):
        from transformers import AutoModelForCausalLM

        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="sdpa").train()
        parameters = list(self._model.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": DECAY},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=LR, fused=True)

    def step(self, rows, bucketed, max_tokens):
        """Train rows of (prompt, completion, engine's log-probabilities, advantage); return seconds, loss, gradient norm and nothing."""
        start = time.perf_counter()
        tokens = sum(len(completion) for _, completion, _, _ in rows)
        self._optimizer.zero_grad()
        total = 0.0
        for batch in self._batches(rows, bucketed, max_tokens):
            loss = self._loss(batch) / tokens
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), NORM)
        self._optimizer.step()
        return time.perf_counter() - start, total, float(norm), {}

    @staticmethod
    def _batches(rows, bucketed, max_tokens):
        """Cut rows, in their order or by length, so that none is padded beyond `max_tokens` in all."""
        if bucketed:
            rows = sorted(rows, key=lambda row: len(row[0]) + len(row[1]))
        batch, width = [], 0
        for row in rows:
            length = len(row[0]) + len(row[1])
            if batch and max(width, length) * (len(batch) + 1) > max_tokens:
                yield batch
                batch, width = [], 0
            batch.append(row)
            width = max(width, length)
        yield batch

    def _loss(self, batch):
        """Sum of the token losses. Rows are padded on the right and causal, so no mask is needed."""
        width = max(len(prompt) + len(completion) for prompt, completion, _, _ in batch)
        ids = np.zeros((len(batch), width), dtype=np.int64)
        for b, (prompt, completion, _, _) in enumerate(batch):
            ids[b, : len(prompt) + len(completion)] = np.concatenate([prompt, completion])
        at = np.concatenate([b * width + len(p) - 1 + np.arange(len(c)) for b, (p, c, _, _) in enumerate(batch)])
        labels = torch.from_numpy(np.concatenate([c for _, c, _, _ in batch]).astype(np.int64))
        engine = torch.from_numpy(np.concatenate([e for _, _, e, _ in batch]))
        advantage = torch.from_numpy(np.repeat([a for _, _, _, a in batch], [len(c) for _, c, _, _ in batch]).astype(np.float32))
        hidden = self._model.model(input_ids=torch.from_numpy(ids), use_cache=False).last_hidden_state
        logits = self._model.lm_head(hidden.flatten(0, 1)[torch.from_numpy(at)])
        logp = -torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        old = logp.detach()
        ratio = torch.exp(logp - old)
        surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)
        return -(surrogate * torch.exp(old - engine).clamp(max=CAP)).sum()
