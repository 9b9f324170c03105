"""`toolrl prepare`: raw rows in, a folder of clean prompts out.

    specs ─ Pass ─┬─> train.parquet      report.json  report.html
                  └─> heldout.parquet    prompt.template

The folder is written aside and renamed when it is whole: there is a prepared folder or none, whenever a run is killed. The same rows and
settings give the same bytes, whatever the hash seed. A second run replaces the folder; one that holds something else is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolrl.data.contamination import Guard
from toolrl.data.filters import Filters
from toolrl.data.formats.registry import find_format
from toolrl.data.report import page, summary
from toolrl.data.report_words import label
from toolrl.data.split import PARTS
from toolrl.data.template import FILE_NAME, PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import ConfigError, DataError, UserError
from toolrl.pipelines.folder import restore, whole_folder, write_text
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.prepare_pass import FORMAT, Pass, PrepareSettings
from toolrl.types import Prompt

REPORT, PAGE = "report.json", "report.html"
WRITTEN = (*(f"{part}.parquet" for part in PARTS), FILE_NAME, REPORT, PAGE)
"""The files of a prepared folder."""


def prepare(inputs: Sequence[str], settings: PrepareSettings, *, out: Path) -> Mapping[str, Any]:
    """Repair, filter and split the rows of `inputs` into the folder `out`; return the report that lies in it.

    Raises UserError: ConfigError for the settings, DataError for the rows, both before anything is left behind.
    """
    out = out.resolve()
    _check(inputs, settings, out)
    model_path = resolve_model(settings.tokenizer) if settings.tokenizer else ""
    template = PromptTemplate.load(settings.template, model_path=model_path)
    guards = [Guard.shipped(), *([Guard.load(map(Path, settings.fingerprints))] if settings.fingerprints else [])]
    filters = Filters(
        max_length=settings.max_prompt_tokens if settings.tokenizer else None,
        keep_no_call=settings.no_call == "keep",
        keep_hits=settings.contamination == "keep",
        find=lambda prompt: [hit for guard in guards for hit in guard.hits(prompt)],
    )
    run = Pass(replace(settings, template=template.name), filters, _lengths(model_path, template))
    with whole_folder(out) as folder:
        run.write(inputs, folder)
        report = run.report({name: items for guard in guards for name, items in guard.items.items()})
        if not run.lengths:
            raise DataError(_nothing_left(report))
        write_text(folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        write_text(folder / PAGE, page(report))
        write_text(folder / FILE_NAME, template.source)
    return report


def _nothing_left(report: Mapping[str, Any]) -> str:
    """Return the message where no row is kept: the table, and what was wrong with the first row of each reason."""
    if not report["rows_in"]:
        return f"{', '.join(report['inputs'])}: no rows in it; give files that hold some"
    firsts = [f"{label(reason)}: {each['samples'][0]['id']}: {each['samples'][0]['detail']}" for reason, each in report["dropped"].items()]
    return "\n".join([f"none of {report['rows_in']} rows is left", summary(report), *firsts, "mend the rows, or change the settings"])


def _check(inputs: Sequence[str], settings: PrepareSettings, out: Path) -> None:
    problems = settings.problems()
    if not inputs:
        problems.append("inputs: got none; give files or folders of rows, or data sets of the hub")
    try:
        find_format(settings.format)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    restore(out)
    if not out.exists():
        return
    if not _is_prepared(out):
        raise UserError(f"{out}: exists and is no prepared folder (it has no {REPORT} of one); name another one, or remove it yourself")
    if others := sorted(path.name for path in out.iterdir() if path.name not in WRITTEN):
        raise UserError(f"{out}: holds {', '.join(others)} too, which a new run would remove; move it away, or name another folder")


def _is_prepared(out: Path) -> bool:
    """Whether there is a folder that an earlier run wrote, or an empty one."""
    if not out.is_dir():
        return False
    report = out / REPORT
    mark = f'"{FORMAT.partition("/")[0]}/'
    return not any(out.iterdir()) or (report.is_file() and mark in report.read_text(encoding="utf-8", errors="replace"))


def _lengths(model_path: str, template: PromptTemplate) -> Callable[[Sequence[Prompt]], Sequence[int]]:
    """Return how long prompts are: in tokens as they will be sampled, or in characters where there is no tokenizer."""
    if not model_path:
        return lambda prompts: [sum(len(turn["content"]) for turn in template.render(prompt)) for prompt in prompts]
    chat = ChatTokenizer(model_path, template.chat)
    return lambda prompts: chat.prompt_lengths(prompts, template)
