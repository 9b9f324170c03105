"""The way of a large batch from the engines' object store to the learner's ranks: how busy it keeps the controller, who reads what.

    python benchmarks/handoff.py [--prompts 1024] [--n 16] [--tokens 2048] [--ranks 8] [--producers 2] [--json]

    producer ─ group ─> object store                    rank k <─ groups of shard k
        └──── GroupRef ─> driver: trajectories ─> plan ─ shard ─┘

Real Ray and the run's own code: producers answer as an engine's actor does, the driver takes advantages and calls `LearnerGroup.step`, and
ranks fetch as `LearnerActor` does; only sampling and training are left out. Busy is processor time of the driver's process, all its
threads: other processes do not count. The benchmark fails where a rank reads anything but its shard, or a group is not read exactly once.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
import time

import numpy as np
import ray

from toolrl.actors.learner import LearnerGroup
from toolrl.actors.rank import LearnerActor
from toolrl.algo.advantage import trajectories
from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.learner.packing import shard_batch
from toolrl.types import Batch, Completion, Draw, Group, Prompt, Reason, ScoredGroup, Verdict, VersionSpan, WeightVersion

PROMPT_TOKENS = 512
DEADLINE_S = 600.0


class Producer:
    """Stands where an engine's actor does: a group to the object store, its description to the caller."""

    def __init__(self, n: int, tokens: int) -> None:
        self._n, self._tokens = n, tokens

    def sample(self, number: int):
        """Make the group of a draw."""
        rng = np.random.default_rng(number)
        prompt = rng.integers(0, 150_000, PROMPT_TOKENS, dtype=np.int32)
        group = Group(Draw(number, Prompt(str(number), "benchmark", (), (), ()), prompt, number), tuple(self._completions(rng)))
        return group.ref(None, engine="none", sample_s=0.0), group

    def _completions(self, rng):
        for _ in range(self._n):
            length = int(rng.integers(self._tokens * 15 // 16, self._tokens + 1))
            ids = rng.integers(0, 150_000, length, dtype=np.int32)
            spans = (VersionSpan(WeightVersion(0), 0, length),)
            yield Completion(ids, rng.normal(size=length).astype(np.float32), np.ones(length, dtype=bool), "", "stop", 0, spans)


class Reader(LearnerActor):
    """Stands where a learner's rank does: fetches as it does, and says what it read instead of training it."""

    def __init__(self, rank: int) -> None:
        self._rank, self._fetch_timeout_s = rank, DEADLINE_S

    def step(self, shard):
        """Fetch the groups of a shard; in place of how each was trained, tell the rank and the bytes of its arrays."""
        groups = self._groups(shard)
        return 0, {}, {draw: (self._rank, array_bytes(group)) for draw, group in groups.items()}


def array_bytes(group: Group) -> int:
    return group.draw.token_ids.nbytes + sum(c.token_ids.nbytes + c.logprobs.nbytes + c.loss_mask.nbytes for c in group.completions)


class Busy:
    """Seconds of a block: of the clock, and of this process's processors."""

    def __enter__(self):
        self._clock, self._processor = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.wall_s, self.busy_s = time.perf_counter() - self._clock, time.process_time() - self._processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1024)
    parser.add_argument("--n", type=int, default=16, help="completions of a prompt")
    parser.add_argument("--tokens", type=int, default=2048, help="longest completion; the shortest has a sixteenth less")
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--producers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    size = options.prompts * (PROMPT_TOKENS * 4 + options.n * options.tokens * 9)
    actors = options.ranks + options.producers
    local = {"address": "local", "num_cpus": actors, "include_dashboard": False, "log_to_driver": False, "_node_ip_address": "127.0.0.1"}
    ray.init(logging_level="ERROR", object_store_memory=max(2 * size, 2**27), **local)
    try:
        asyncio.run(hand_off(options))
    finally:
        ray.shutdown()


async def hand_off(options: argparse.Namespace) -> None:
    algo = AlgoConfig()
    producers = [ray.remote(Producer).remote(options.n, options.tokens) for _ in range(options.producers)]
    readers = [ray.remote(Reader).remote(rank) for rank in range(options.ranks)]
    settings = LearnerConfig(num_ranks=options.ranks, minibatches=4, step_timeout_s=DEADLINE_S)
    learner = LearnerGroup(readers, settings, algo=algo, max_tokens=options.tokens)
    await asyncio.gather(*(each.__ray_ready__.remote() for each in (*producers, *readers)))
    with Busy() as receiving:
        scored = await asyncio.gather(*(sampled(producers[i % len(producers)], i, options.n) for i in range(options.prompts)))
    with Busy() as handing:
        batch = Batch(WeightVersion(0), trajectories(algo, scored, options.tokens))
        report = await learner.step(batch)
    with Busy() as planning:
        shards = shard_batch(
            batch, num_ranks=options.ranks, minibatches=settings.minibatches, max_tokens=settings.max_tokens_per_microbatch
        )
    verify(shards, report.trained, options.prompts)
    by_rank = [sum(size for rank, size in report.trained.values() if rank == each) for each in range(options.ranks)]
    total = sum(by_rank)
    print(
        f"{options.prompts} prompts x {options.n} completions of up to {options.tokens} tokens, {options.ranks} ranks: {total / 1e6:.0f} MB"
    )
    print(f"receiving the descriptions  {receiving.busy_s:6.2f} s busy of {receiving.wall_s:.2f} s")
    print(f"advantages, plan, sending   {handing.busy_s:6.2f} s busy of {handing.wall_s:.2f} s; the plan alone {planning.busy_s:.2f} s")
    print(f"a rank read {min(by_rank) / total:.1%} to {max(by_rank) / total:.1%} of the bytes, and its own shard only")
    if options.json:
        print(json.dumps({"controller_busy_s": receiving.busy_s + handing.busy_s, "plan_s": planning.busy_s, "bytes_by_rank": by_rank}))


async def sampled(producer, number: int, n: int) -> ScoredGroup:
    """One group as the loop holds it, with verdicts half right."""
    described, group = producer.sample.options(num_returns=2).remote(number)
    ref = dataclasses.replace(await described, handle=group)
    return ScoredGroup(ref, tuple(Verdict(float(i % 2), Reason.CORRECT if i % 2 else Reason.WRONG_VALUE) for i in range(n)))


def verify(shards, read: dict[int, tuple[int, int]], prompts: int) -> None:
    """Every group was read, by the one rank whose shard it is in."""
    planned = [(draw, shard.rank) for shard in shards for draw in shard.handles]
    if len(planned) != prompts or {draw: rank for draw, (rank, _) in read.items()} != dict(planned):
        sys.exit("a rank read other groups than those of its shard")


if __name__ == "__main__":
    main()
