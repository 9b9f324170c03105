"""Tokens per second of a learner step beside a bare PyTorch/Transformers loop on the same sequences, in turns within one run.

    python benchmarks/learner.py [--shapes demo,wide] [--rounds 7] [--threads 1] [--max-tokens 16384] [--json]

The bare loop is measured padded and length-bucketed, with small and large micro-batches, and its fastest way counts. Tokens are those of
the sequences: the learner computes a prompt once for the completions behind it, unless `--separate-prompts` tells it not to. Every process
computes with `--threads` threads. Two ranks are compared with two bare loops at the same time, each on its half of the sequences and
without exchanging gradients: the ratio is what ZeRO-3, waiting and sharing out cost together. Losses and gradient norms of both sides must
agree, else the benchmark fails. `--json` ends with one line that holds `ratio_one_rank` and `ratio_two_ranks`.
"""

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from learner_shapes import SHAPES
from learner_workers import BareSide, LearnerSide, Worker

from toolrl.learner.packing import shard_batch

AGREEMENT = 1e-3
"""Largest relative difference of loss and gradient norm in the first step; from then on the weights differ in rounding."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="demo,wide", help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=16384, help="learner.max_tokens_per_microbatch")
    parser.add_argument("--bare-tokens", default="1024,2048,4096,16384", help="the same of the bare loop: its best counts")
    parser.add_argument(
        "--separate-prompts", action="store_true", help="the learner computes a prompt for each completion, as the bare loop"
    )
    parser.add_argument("--ranks", default="1,2", help="sizes of the learner group to measure")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    found = {}
    for name in options.shapes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            SHAPES[name].make_model(Path(folder))
            found[name] = {int(n): race(name, folder, int(n), options) for n in options.ranks.split(",")}
    names = {1: "ratio_one_rank", 2: "ratio_two_ranks"}
    if options.json:
        line = {names[n]: min(result[n] for result in found.values()) for n in next(iter(found.values()))}
        print(json.dumps(line | {"by_shape": {shape: {names[n]: r for n, r in result.items()} for shape, result in found.items()}}))


def race(shape: str, folder: str, num_ranks: int, options: argparse.Namespace) -> float:
    """Let both sides take steps in turns and return the median ratio of their seconds."""
    batch, groups = SHAPES[shape].make_batch()
    sharing = not options.separate_prompts
    shards = shard_batch(batch, num_ranks=num_ranks, minibatches=1, max_tokens=options.max_tokens, share_prompts=sharing)
    halves = [[row for step in shard.optimizer_steps for micro in step for row in micro.rows] for shard in shards]
    rows = [[bare_row(groups, row) for row in half] for half in halves]
    tokens = sum(row.tokens for half in halves for row in half)
    learner, bare = start_learner(folder, num_ranks, options), [Worker(BareSide, folder) for _ in range(num_ranks)]
    wait([*learner, *bare])

    def ours():
        return together(learner, [(shard, {draw: groups[draw] for draw in shard.handles}) for shard in shards])

    def theirs(way):
        return together(bare, [(half, *way) for half in rows])

    tried = {(bucketed, int(most)): 0.0 for bucketed in (False, True) for most in options.bare_tokens.split(",")}
    check(ours(), theirs(next(iter(tried))), num_ranks)
    ours()
    tried = {way: theirs(way)[0] for way in tried}
    ways = [min((way for way in tried if way[0] == bucketed), key=tried.get) for bucketed in (False, True)]
    times, parts = {way: [] for way in ("ours", *ways)}, []
    for _ in range(options.rounds):
        seconds, _, _, part = ours()
        times["ours"].append(seconds)
        parts.append(part)
        for way in ways:
            times[way].append(theirs(way)[0])
    for worker in (*learner, *bare):
        worker.stop()
    return report(f"{shape}, {num_ranks} rank{'s' * (num_ranks > 1)}", tokens, times, parts)


def bare_row(groups, row):
    group = groups[row.draw]
    completion = group.completions[row.sample]
    return group.draw.token_ids, completion.token_ids, completion.logprobs, row.advantage


def start_learner(folder: str, num_ranks: int, options: argparse.Namespace) -> list[Worker]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"DS_ACCELERATOR": "cpu"}
    return [Worker(LearnerSide, folder, rank, num_ranks, port, options.max_tokens, environment=environment) for rank in range(num_ranks)]


def wait(workers: list[Worker]) -> None:
    for worker in workers:
        worker.answer()


def together(workers: list[Worker], arguments: list[tuple]):
    """Let all take a step at once; return the seconds of the slowest, and what each measured."""
    for worker, each in zip(workers, arguments, strict=True):
        worker.ask(*each)
    answers = [worker.answer() for worker in workers]
    return max(a[0] for a in answers), [a[1] for a in answers], [a[2] for a in answers], answers[0][3]


def check(ours, theirs, num_ranks: int) -> None:
    """Both sides did the same work. Two bare loops take means of their own halves, which say nothing of the whole."""
    if num_ranks > 1:
        return
    for what, mine, other in (("loss", ours[1][0], theirs[1][0]), ("gradient norm", ours[2][0], theirs[2][0])):
        if abs(mine - other) > AGREEMENT * abs(other):
            sys.exit(f"the sides do not do the same: {what} {mine} against {other}")


def report(title: str, tokens: int, times: dict, parts: list[dict]) -> float:
    """Print the medians; return the median over rounds of their seconds over ours."""
    print(f"\n{title}: {tokens} tokens a step\n{'':34}{'tokens/s':>10}{'s a step':>10}{'fastest':>10}")
    medians = {way: statistics.median(each) for way, each in times.items()}
    for way, each in times.items():
        name = "learner" if way == "ours" else f"bare, {'bucketed' if way[0] else 'padded'}, {way[1]} tokens"
        print(f"{name:34}{tokens / medians[way]:10,.0f}{medians[way]:10.3f}{min(each):10.3f}")
    print("learner: " + ", ".join(f"{name} {statistics.median(part[name] for part in parts):.3f}" for name in parts[0]))
    best = min((way for way in times if way != "ours"), key=medians.get)
    by_round = [theirs / ours for theirs, ours in zip(times[best], times["ours"], strict=True)]
    ratio = statistics.median(by_round)
    print(
        f"ratio {ratio:.3f} (median over rounds of the bare loop's seconds over the learner's; {min(by_round):.2f} to {max(by_round):.2f})"
    )
    sys.stdout.flush()
    return ratio


if __name__ == "__main__":
    main()
