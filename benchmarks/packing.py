"""How evenly a batch is shared out: the fullest rank over the mean, in computed positions, on the lengths of real prompts.

    python benchmarks/packing.py DIR [--prompts 512] [--longest 2048]

DIR holds rows of `toolrl prepare` or of tool-calling data (JSONL). Prompts are measured by the demo's tokenizer; lengths of completions are
log-normal, about 150 tokens. No position is padding, so imbalance is all that is lost. Prints a Markdown table.
"""

import argparse
from itertools import islice
from pathlib import Path

import numpy as np

from toolrl.data.rows import read_rows
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.learner.packing import imbalance, shard_batch
from toolrl.pipelines.inputs import resolve_model
from toolrl.types import Batch, GroupRef, Reason, ScoredGroup, Trajectory, Verdict, WeightVersion

VERDICT = Verdict(1.0, Reason.CORRECT)
MAX_TOKENS = 16384


def lengths_of(path: Path, prompts: int, longest: int) -> list[int]:
    """Return the tokens of the first prompts, those longer than `longest` left out (0: none)."""
    model = resolve_model("demo://start")
    found = ChatTokenizer(model).prompt_lengths(list(islice(read_rows(path), prompts)), PromptTemplate.load("demo", model_path=model))
    return [length for length in found if not longest or length <= longest]


def batch_of(lengths: list[int], n: int) -> Batch:
    """Return a batch of `n` completions for each prompt."""
    rng = np.random.default_rng(0)
    made = []
    for i, prompt in enumerate(lengths):
        completions = tuple(int(c) for c in rng.lognormal(5, 0.5, n).clip(8, 1024))
        ref = GroupRef(i, str(i), prompt, completions, (WeightVersion(0),) * n, (False,) * n, "", 0.0, None)
        made.append(Trajectory(ScoredGroup(ref, (VERDICT,) * n), (0.0,) * n))
    return Batch(WeightVersion(0), tuple(made))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Imbalance between ranks on the lengths of real prompts.")
    parser.add_argument("rows", type=Path, help="JSONL file of rows")
    parser.add_argument("--prompts", type=int, default=512, help="prompts of a batch")
    parser.add_argument("--longest", type=int, default=2048, help="longest prompt, in tokens; 0: all")
    arguments = parser.parse_args()
    lengths = lengths_of(arguments.rows, arguments.prompts, arguments.longest)
    print(f"{len(lengths)} prompts, mean {np.mean(lengths):.0f} tokens, longest {max(lengths)}\n")
    print("| completions | optimizer steps | ranks | prompts shared | repeated | computed of repeated |\n|---|---|---|---|---|---|")
    for n in (5, 16):
        batch = batch_of(lengths, n)
        for steps in (1, 4):
            for ranks in (2, 8, 32):
                plans = [
                    shard_batch(batch, num_ranks=ranks, minibatches=steps, max_tokens=MAX_TOKENS, share_prompts=share)
                    for share in (True, False)
                ]
                shared, repeated = (sum(micro.tokens for s in plan for step in s.optimizer_steps for micro in step) for plan in plans)
                even = " | ".join(f"{imbalance(plan):.2%}" for plan in plans)
                print(f"| {n} | {steps} | {ranks} | {even} | {shared / repeated:.0%} |")


if __name__ == "__main__":
    main()
