"""Result files -> upstream's verdicts and averages, by its own program in its own process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from toolrl.evaluation.benchmark import Official
from toolrl.evaluation.bfcl.averages import of_leaderboard
from toolrl.evaluation.bfcl.environment import Environment
from toolrl.evaluation.bfcl.process import run_job
from toolrl.evaluation.bfcl.results import forget_scores, read_leaderboard, read_scores

LOG = "official.log"
JUDGE_S = 3600.0
"""Longest time upstream's program may take to judge: seconds for all single-turn answers, minutes where it executes what they call."""


def judge(environment: Environment, asked: Mapping[str, Sequence[str]], folder: Path, *, partial: bool, note: str = "") -> Official:
    """Let upstream's program judge the result files in `folder`.

    Args:
        environment: Where it is.
        asked: The ids that are answered, by category.
        folder: Of its files and of its log.
        partial: Whether a category has questions that are not answered; upstream wants to be told.
        note: What else is to be said of these verdicts.

    Raises:
        RunError: It failed; names the log.
    """
    forget_scores(folder)
    job = {"do": "evaluate", "categories": [*asked], "partial": partial}
    run_job(environment.python, job, folder=folder, log=folder / LOG, deadline_s=JUDGE_S)
    found = {category: read_scores(folder, category, ids) for category, ids in asked.items()}
    right = {id: verdict for each in found.values() for id, verdict in each.right.items()}
    scores = {category: each.accuracy for category, each in found.items()}
    if failed := [id for each in found.values() for id in each.failed]:
        note = f"{note} upstream's checker fails on {listed(failed)}: they count as wrong".strip()
    return Official(right, scores | of_leaderboard(read_leaderboard(folder), [*asked]), note=note)


def listed(ids: Sequence[str], most: int = 5) -> str:
    """Return how many ids there are, and the first of them."""
    more = ", …" if len(ids) > most else ""
    return f"{len(ids)} ({', '.join(ids[:most])}{more})"
