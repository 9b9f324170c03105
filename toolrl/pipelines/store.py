"""The checkpoints of a run, filled by the learner's ranks: `protocols.Store`.

begin ─> every rank writes and seals its files ─> commit (rename, mark) ─> best: the same with weights only, as a Hugging Face folder

All ranks write into one folder; it becomes a checkpoint only once every one of them has.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from toolrl.actors.learner import LearnerGroup
from toolrl.checkpoint.files import Seals, files_below, seal, sync, sync_folders
from toolrl.checkpoint.store import CheckpointStore
from toolrl.config.schema import CheckpointConfig
from toolrl.data.template import PromptTemplate
from toolrl.types import RunState

FINAL = "final"
"""Folder of a run with the model it ended with."""


class RunStore:
    """Saves a run through its learner group."""

    def __init__(self, store: CheckpointStore, learner: LearnerGroup, template: PromptTemplate, config: CheckpointConfig) -> None:
        self._store = store
        self._template = template
        self._learner = learner
        self._config = config

    async def save(self, state: RunState) -> Mapping[str, float]:
        """Write a checkpoint of `state`, and the best weights if they are those of `state`. Raises CheckpointError kin."""
        start = time.monotonic()
        whole_bytes, model_bytes = await self._learner.sizes() if self._store.is_empty() else (0, 0)
        aside = self._store.begin(state.version, whole_bytes)
        sealed = await self._learner.save(aside, timeout_s=self._config.timeout_s)
        written = [await asyncio.to_thread(self._store.commit, aside, state, sealed)]
        if self._config.best and state.best_version == state.version:
            aside = self._store.begin_best(model_bytes)
            sealed = await export(self._learner, self._template, aside, timeout_s=self._config.timeout_s)
            written.append(await asyncio.to_thread(self._store.commit, aside, state, sealed))
        return {"checkpoint/save_s": time.monotonic() - start, "checkpoint/bytes": float(sum(map(_bytes, written)))}


async def export(learner: LearnerGroup, template: PromptTemplate, folder: Path, *, timeout_s: float) -> Seals:
    """Write the present model as a Hugging Face folder, with the prompt template it was trained with; what the learner wrote is sealed."""
    sealed = await learner.export(folder, timeout_s=timeout_s)
    await asyncio.to_thread(template.write, folder)
    return sealed


async def export_final(learner: LearnerGroup, template: PromptTemplate, run: Path, *, timeout_s: float) -> Path:
    """Write the model a run ended with as a Hugging Face folder: there is a whole one or none."""
    final, aside = run / FINAL, run / f".{FINAL}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    sealed = await export(learner, template, aside, timeout_s=timeout_s)
    await asyncio.to_thread(seal, aside, [path for path in files_below(aside) if str(path.relative_to(aside)) not in sealed])
    sync_folders(aside)
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    sync(run)
    return final


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in files_below(folder))
