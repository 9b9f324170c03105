"""`toolrl run RECIPE`: the steps of a row, or of every row of a table, one after the other on one warm cluster; then the table.

    plan ─ steps not done ─> stage (prepare, distill, sft, rl, evaluate) ─> mark ─> … ─> table

Each stage goes on where it was killed, and a step that has its mark is not done again: the same command, given again, ends what it began.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from toolrl import __version__
from toolrl.actors.session import Session
from toolrl.config.asking import DistillConfig, EvaluateConfig
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.errors import RunFolderError, ToolRLError
from toolrl.evaluation.benchmark import Benchmark
from toolrl.monitor.durable import replace_text
from toolrl.pipelines import distill, rl, sft
from toolrl.pipelines.evaluate import measure
from toolrl.pipelines.evaluating.benchmarks import Options, load_benchmark
from toolrl.pipelines.prepare import prepare
from toolrl.pipelines.prepare_pass import PrepareSettings
from toolrl.pipelines.recipes import page
from toolrl.pipelines.recipes.plan import Plan, Step, plan
from toolrl.pipelines.recipes.results import as_json as table_as_json


def run(recipes: Sequence[str], words: Sequence[str], *, dry_run: bool, as_json: bool, width: int) -> int:
    """Run `toolrl run` and return its exit code; steps that several recipes share are done once. Raises ToolRLError."""
    plans = [plan(recipe, words) for recipe in recipes]
    if dry_run:
        print("\n\n".join(map(_steps, plans)))
        return 0
    steps = {step.folder: step for each in plans for step in each.steps}
    left = [step for step in steps.values() if not step.done]
    print(f"{'; '.join(each.table.title for each in plans)}: {len(steps)} steps, {len(steps) - len(left)} of them done", flush=True)
    _read_benchmarks(left)
    with Session(keep=True) as session:
        for number, step in enumerate(left, start=1):
            rows = dict.fromkeys(row for each in plans for row in each.rows_of(step))
            print(f"\n── step {number}/{len(left)} · {step.name} ({step.stage}) · for {', '.join(rows)}", flush=True)
            _do(step, session)
    for each in plans:
        print("\n" + (json.dumps(table_as_json(each)) if as_json else page.text(each, width)))
    return 0


def _read_benchmarks(steps: Sequence[Step]) -> None:
    """Read what will be asked at the end before anything is trained: a file that is missing is told now. Raises UserError kin."""
    evaluations = {(step.benchmark, step.data, str(step.settings.get("data.heldout"))): step for step in steps if step.benchmark}
    for step in evaluations.values():
        _benchmark(step)


def _benchmark(step: Step) -> tuple[EvaluateConfig, Benchmark]:
    config = step.config()
    assert isinstance(config, EvaluateConfig)
    return config, load_benchmark(Options(step.benchmark, data=Path(step.data) if step.data else None), config)


def _do(step: Step, session: Session) -> None:
    """Do a step and mark it. A failure says which step it was."""
    start = time.time()
    try:
        step.folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"out: {step.folder.parent} cannot be made ({error.strerror}); name another folder") from error
    try:
        remark = _stage(step, session)
    except ToolRLError as error:
        error.add_note(f"in step {step.name} ({step.stage}), {step.folder}; the same command goes on from there")
        raise
    content = {
        "step": step.name,
        "stage": step.stage,
        "settings": dict(step.settings),
        "needs": {each.name: each.folder.name for each in step.needs},
        "seconds": round(time.time() - start, 1),
        "remark": remark,
        "toolrl": __version__,
    }
    replace_text(step.mark, json.dumps(content, indent=2, default=str) + "\n")
    print(f"done in {content['seconds']:.0f} s: {step.made}{remark and f'; {remark}'}", flush=True)


def _stage(step: Step, session: Session) -> str:
    """Do a step; returns what whoever reads its table should know, if anything."""
    config = step.config()
    if isinstance(config, PrepareSettings):
        prepare(step.settings["inputs"], config, out=step.folder)
    elif isinstance(config, DistillConfig):
        failed = distill.distill(config, session)["failed"]
        return f"{len(failed)} of the prompts' samples had no answer, the first since {failed[0]['why']}" if failed else ""
    elif isinstance(config, SftConfig):
        sft.train(config, session)
    elif isinstance(config, RlConfig):
        rl.train(config, session)
    else:
        measure(*_benchmark(step), session)
    return ""


def _steps(planned: Plan) -> str:
    """Return what `--dry-run` prints."""
    lines = [planned.table.title, ""]
    for step in planned.steps:
        lines.append(f"{'done ' if step.done else '     '} {step.folder.name} ({step.stage}), for {', '.join(planned.rows_of(step))}")
        lines += [f"        {key}: {value}" for key, value in step.settings.items()]
    return "\n".join([*lines, "", "every step was checked; nothing was started"])
