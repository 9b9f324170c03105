"""The checkpoints of a run, filled by the learner's ranks: `protocols.Store`.

begin ─> every rank writes and seals its files ─> commit (rename, mark) ─> best: the same with weights only, as a Hugging Face folder

All ranks write into one folder; it becomes a checkpoint only once every one of them has.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from toolrl.actors.learner import LearnerGroup
from toolrl.checkpoint.files import Seals, files_below, seal, sync_folders
from toolrl.checkpoint.store import CheckpointStore
from toolrl.config.schema import CheckpointConfig
from toolrl.data.template import PromptTemplate
from toolrl.errors import CheckpointError, DeadlineError
from toolrl.monitor.durable import sync
from toolrl.types import RunState

FINAL = "final"
"""Folder of a run with the model it ended with."""

logger = logging.getLogger(__name__)


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
        written = [await self._commit(aside, state, sealed)]
        if self._config.best and state.best_version == state.version:
            written.append(await self._save_best(state, model_bytes))
        return {"checkpoint/save_s": time.monotonic() - start, "checkpoint/bytes": float(sum(map(_bytes, written)))}

    async def mend_best(self, state: RunState, lost: Path) -> str:
        """Bring the best weights to where a run goes on from; returns what had to be done, in words.

        A run that ended between a checkpoint and its best weights writes them now. Those of a version beyond the checkpoint are of a
        lineage that was left, and are moved to the folder `lost`; the better ones before them were given up for them.
        """
        said, there, wrong = [], None, ""
        try:
            if (there := await asyncio.to_thread(self._store.best_version)) is not None and there > state.version:
                wrong = f"of version {there}"
        except CheckpointError as error:
            wrong = f"damaged ({error})"
        if wrong:
            self._store.set_best_aside(lost)
            said.append(f"the best weights, {wrong}, were moved to {lost}")
            there = None
        if self._config.best and state.best_version and there != state.best_version:  # version 0 is the start model, which is nobody's best
            if state.best_version == state.version:
                _, model_bytes = await self._learner.sizes()
                await self._save_best(state, model_bytes)
                said.append(f"the best weights are those of version {state.version}")
            elif there is None:
                said.append(f"the best weights so far, of version {state.best_version}, are not there; those of the next best are kept")
        return "; ".join(said)

    async def _save_best(self, state: RunState, needs: int) -> Path:
        aside = self._store.begin_best(needs)
        sealed = await export(self._learner, self._template, aside, timeout_s=self._config.timeout_s)
        return await self._commit(aside, state, sealed)

    async def _commit(self, aside: Path, state: RunState, sealed: Seals) -> Path:
        try:
            async with asyncio.timeout(self._config.timeout_s):
                return await asyncio.to_thread(self._store.commit, aside, state, sealed)
        except TimeoutError as late:
            where = f"{aside}: not on the disk within checkpoint.timeout_s={self._config.timeout_s:g} s"
            logger.error("%s; this process ends once the file system answers", where)
            raise DeadlineError(f"{where}; look at its file system, then run again to resume") from late


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
