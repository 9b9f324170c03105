"""`toolrl export`: a model as a folder that Transformers, vLLM and the Hugging Face hub understand, and that tells where it comes from.

    RUN ─┬─ final, best ─> its files ─────────────┐
         └─ version N ─> its shards, put together ┼─> weights, tokenizer, chat template, prompt.template ─┬─> DIR
    model folder ─> its files ────────────────────┘      README.md, toolrl.json: lineage, data, scores ───┘

The folder is written aside and renamed when it is whole. A second export replaces the first; a folder of something else is left alone.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toolrl import __version__
from toolrl.checkpoint.store import MARK, PREFIX, STATE, CheckpointStore
from toolrl.data.inside import is_inside
from toolrl.data.jinja_template import with_tools
from toolrl.data.model_files import REMEDY
from toolrl.data.template import FILE_NAME, PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import CheckpointError, UserError
from toolrl.monitor.environment import git_commit
from toolrl.monitor.jsonfile import read_if_there
from toolrl.monitor.rundir import CHECKPOINTS
from toolrl.pipelines.exporting.card import Card, readme
from toolrl.pipelines.exporting.lineage import RECORD, Lineage, lineage_of, public, read_config, recorded, steps_of
from toolrl.pipelines.exporting.scores import Measured, read_scores
from toolrl.pipelines.folder import restore, whole_folder, write_text
from toolrl.pipelines.inputs import start_model
from toolrl.pipelines.models import find_model, is_run, versions_of
from toolrl.serving.settings import CHAT_TEMPLATE, GENERATION, stop_ids

FORMAT = "toolrl.export/1"
README = "README.md"
TOKENIZER_CONFIG = "tokenizer_config.json"
_NOT_COPIED = frozenset({README, RECORD, FILE_NAME, CHAT_TEMPLATE, "chat_template.json", STATE, MARK})
"""Files that are made anew, or belong to a checkpoint and not to a model."""
_OTHER_WEIGHTS = frozenset({".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".gguf", ".onnx"})


@dataclass(frozen=True)
class ExportSettings:
    """What is exported, and what its card tells."""

    best: bool = False
    """The best weights of a run instead of the final ones."""
    version: int | None = None
    """Those of this version, from its checkpoint."""
    start: str = ""
    """For `version`: the run's start model, where it is not at `model.path` any more."""
    name: str = ""
    """What the card calls the model; empty: the name of the run or of the folder."""
    template: str = ""
    """Prompt template; empty: the one beside the model."""
    scores: tuple[Path, ...] = ()
    """Evaluations to tell of."""


@dataclass(frozen=True)
class _Source:
    """A model to export."""

    folder: Path
    name: str
    weights: str
    """final, best, version N; empty: of no run."""
    lineage: Lineage | None
    template: str
    """Folder of its prompt template; empty: beside the model."""


def export(path: str, settings: ExportSettings, *, out: Path, as_json: bool) -> int:
    """Run `toolrl export` of a run or a model and return its exit code. Raises ToolRLError, and then leaves nothing behind."""
    out = out.resolve()
    _check_out(out)
    measured = tuple(map(read_scores, settings.scores))
    with _version(path, settings) if settings.version is not None else _whole(path, best=settings.best) as source:
        record = _write(source, settings, measured, out)
    print(json.dumps(record) if as_json else _summary(out, record, source, measured))
    return 0


@contextmanager
def _whole(path: str, *, best: bool) -> Iterator[_Source]:
    """Give a model that is there as a folder."""
    found = find_model(path, best=best)
    if not any(found.folder.glob("*.safetensors")):
        raise UserError(f"{path}: its weights are pickles; load and save it with Transformers, which writes safetensors, and export that")
    steps = steps_of(found.folder)
    lineage = recorded(found.folder) if found.run is None else lineage_of(found.run, steps)
    weights = "" if found.run is None else "final" if steps is None else "best"
    yield _Source(found.folder, found.name, weights, lineage, "")


@contextmanager
def _version(path: str, settings: ExportSettings) -> Iterator[_Source]:
    """Give the model of a checkpoint, which is made here and gone afterwards."""
    run, version = Path(path).resolve(), settings.version
    if not is_run(run):
        raise UserError(f"{path}: is no run, so it has no versions; name the folder of a run, or leave --version out")
    checkpoint = run / CHECKPOINTS / f"{PREFIX}{version:08d}"
    others = ", ".join(str(each) for each in versions_of(run) if each != version) or "none"
    if version not in versions_of(run):
        raise UserError(f"--version: {path} has no whole checkpoint of version {version}, but of {others}; name one that there is")
    config = read_config(run)
    try:
        CheckpointStore(run / CHECKPOINTS, keep=1).verify(checkpoint)
    except CheckpointError as error:
        raise UserError(f"--version: {error}; put it back from a copy, or name another version (there are: {others})") from error
    with _start(settings.start or config.model.path, config.run.seed) as start, TemporaryDirectory(prefix="toolrl-export-") as folder:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed only reads files here, and would look for a GPU aloud
        from toolrl.learner.consolidate import consolidate

        model = replace(config.model, path=start)
        consolidate(checkpoint, model, config.learner, seed=config.run.seed, folder=Path(folder))
        yield _Source(Path(folder), run.name, f"version {version}", lineage_of(run, version), str(run))


@contextmanager
def _start(path: str, seed: int) -> Iterator[str]:
    """Give the folder of a run's start model. Raises UserError where it is not there any more."""
    with start_model(path, seed=seed) as made:
        try:
            yield made if Path(made).is_dir() else str(find_model(made).folder)
        except UserError as error:
            error.add_note("of the run's start model the shape and the tokenizer are needed; say with --start where it is now")
            raise


def _write(source: _Source, settings: ExportSettings, measured: tuple[Measured, ...], out: Path) -> dict[str, Any]:
    """Write the folder, and return what its toolrl.json holds."""
    template = PromptTemplate.load(settings.template or source.template, model_path=str(source.folder))
    tokenizer = ChatTokenizer(str(source.folder), template.chat)
    lineage = source.lineage or Lineage(source.name)
    card = Card(
        name=settings.name or source.name,
        base=lineage.base,
        weights=source.weights,
        stages=lineage.stages,
        reasons=template.reasons,
        measured=measured,
        commit=git_commit(Path(__file__).parents[2]),
    )
    with whole_folder(out) as folder:
        _copy(source.folder, folder)
        template.write(folder)
        write_text(folder / CHAT_TEMPLATE, with_tools(template, tokenizer.chat_template))
        _write_json(
            folder / GENERATION, _read_json(folder / GENERATION) | {"eos_token_id": list(stop_ids(source.folder, tokenizer.stop_ids))}
        )
        kept = {key: value for key, value in _read_json(folder / TOKENIZER_CONFIG).items() if key != "chat_template"}
        _write_json(folder / TOKENIZER_CONFIG, kept)
        write_text(folder / README, readme(card))
        record = _record(card, lineage, sorted([*(file.name for file in folder.iterdir()), RECORD]))
        _write_json(folder / RECORD, record)
        ChatTokenizer(str(folder), template.chat)  # what was written can be read
    return record


def _copy(source: Path, folder: Path) -> None:
    """Copy the files of a model: weights, tokenizer, configuration, its licence, code of its own. Raises UserError for a link out of it."""
    for file in sorted(source.iterdir()):
        if file.is_file() and not file.name.startswith(".") and file.name not in _NOT_COPIED and file.suffix not in _OTHER_WEIGHTS:
            if not is_inside(file, source):
                raise UserError(f"{file}: a link to {file.resolve()}, outside the folder; put the file itself there, it would be published")
            shutil.copyfile(file, folder / file.name)


def _read_json(file: Path) -> dict[str, Any]:
    return read_if_there(file, remedy=REMEDY, error=UserError) or {}


def _write_json(file: Path, content: dict[str, Any]) -> None:
    write_text(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _record(card: Card, lineage: Lineage, files: list[str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "toolrl": __version__,
        "commit": card.commit,
        "name": card.name,
        "weights": card.weights,
        "lineage": asdict(lineage),
        "scores": [{"model": public(each.model), "scores": [asdict(score) for score in each.scores]} for each in card.measured],
        "files": files,
    }


def _check_out(out: Path) -> None:
    """Raise UserError where `out` is not ours to write."""
    restore(out)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out: {out} is a file; name another folder")
    names = {entry.name for entry in out.iterdir()} if out.exists() else set()
    if not names:
        return
    try:
        record = _read_json(out / RECORD)
        files = set(record["files"]) if record["format"] == FORMAT else set()
    except (UserError, KeyError, TypeError):
        files = set()
    if not files:
        raise UserError(f"--out: {out} exists and is no folder that `toolrl export` made; name another one, or remove it yourself")
    if others := sorted(names - files):
        raise UserError(
            f"--out: {out} holds {', '.join(others)} too, which a new export would remove; move it away, or name another folder"
        )


def _summary(out: Path, record: dict[str, Any], source: _Source, measured: tuple[Measured, ...]) -> str:
    """Return what is printed: what was written, what is not known, what to do with it."""
    num_bytes = sum((out / name).stat().st_size for name in record["files"])
    lines = [
        f"{out}: {len(record['files'])} files, {num_bytes / 1e6:,.1f} MB",
        f"  {README} is the model card; look at it before you publish it",
    ]
    if source.lineage is None:
        lines.append("  how the model was trained is not known here, so the card does not tell")
    known = {source.folder, out} | ({source.folder.parent} if source.weights == "final" else set())
    others = [each for each in measured if Path(each.model).resolve() not in known]
    lines += [f"  {each.file} measures {each.model}; make sure that these are the same weights" for each in others]
    return "\n".join([*lines, "next:", f"  toolrl serve {out}"])
