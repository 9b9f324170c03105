"""`toolrl explain RUN`: why a sample of a run has its reward; without one, which samples there are.

--sample 37.2 ─> explanation      --sample PROMPT or DRAW, --version N, nothing ─> lists of samples      each as a page or as JSON
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from toolrl.calls.render import to_json
from toolrl.errors import RunFolderError
from toolrl.monitor import rollouts
from toolrl.pipelines.review import explanation_json, explanation_page, samples, samples_page
from toolrl.pipelines.review.explanation import explain
from toolrl.pipelines.review.stored import StoredRun, open_run


def explain_run(path: Path, *, sample: str | None, version: int | None, as_json: bool, width: int) -> str:
    """Return what `toolrl explain` prints, `width` columns wide. Raises UserError kin where the run has no such thing."""
    run = open_run(path)
    numbers = None if sample is None else samples.sample_of(sample)
    if numbers is None:
        return _listed(run, sample, version, as_json, width)
    explanation = explain(run, *numbers)
    return to_json(explanation_json.report(explanation)) if as_json else explanation_page.text(explanation, run.path, width)


def _listed(run: StoredRun, name: str | None, version: int | None, as_json: bool, width: int) -> str:
    if name is not None:
        rows = samples.named(run, name)
        return json.dumps(rows) if as_json else samples_page.of_name(run.path, name, rows, width)
    if version is not None:
        rows = samples.of_version(run, version)
        return json.dumps(rows) if as_json else samples_page.of_version(run.path, version, rows, width)
    versions = samples.versions(run)
    if not versions:
        held = ", ".join(path.name for path in rollouts.files(run.rollouts).values()) or "no file"
        raise RunFolderError(f"{run.rollouts}: no sample in it ({held}); put back the files that the run wrote, or name another folder")
    if as_json:
        return json.dumps([asdict(summary) for summary in versions])
    return samples_page.overview(run.path, versions, samples.of_version(run, versions[-1].version), width)
