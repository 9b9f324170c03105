"""`toolrl rescore RUN`: the stored rollouts of a run under another reward. The run folder is not changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from toolrl.pipelines.review.rejudge import rejudge, report
from toolrl.pipelines.review.rejudge_page import changes_to, text
from toolrl.pipelines.review.rewards import told, weights, with_reward
from toolrl.pipelines.review.stored import open_run
from toolrl.reward.verifier import make_verifier


def rescore(
    path: Path, *, mode: str | None, no_call: str | None, functions: Sequence[str] | None, out: Path | None, as_json: bool, width: int
) -> str:
    """Return what `toolrl rescore` prints, and write every changed sample to `out`, if there is one.

    What is None stays as the run has it; `functions` are words `NAME=WEIGHT`. Raises ConfigError or RunFolderError.
    """
    run = open_run(path)
    reward = with_reward(run.config.reward, mode, no_call, weights(functions))
    verifier = make_verifier(reward.mode, reward.no_call, reward.functions)
    with changes_to(out, run.path) as (first, on_change):
        result = rejudge(run, verifier, on_change, reward.deadline_s)
    return json.dumps(report(result, first)) if as_json else text(run, told(run.config.reward), told(reward), result, first, width)
