"""Checkpoints that exist only once they are complete.

    begin ─> .tmp-NAME ─ anyone fills it, and seals it ─> commit: seal the rest ─> rename to NAME ─> mark NAME/COMPLETE ─> prune

Readers trust only the mark, which holds the size and digest of every file and is written and synced last. A crash at any point leaves
the checkpoint before readable. One process at a time may write to a store.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from toolrl.checkpoint.files import Seals, digests, files_below, seal, sync_folders
from toolrl.errors import CheckpointError, RunFolderError
from toolrl.monitor.durable import replace_text, sync
from toolrl.monitor.jsonfile import read_object
from toolrl.types import RunState, WeightVersion

MARK = "COMPLETE"
STATE = "state.json"
BEST = "best"
PREFIX = "version-"
TMP = ".tmp-"
OLD = ".old-"
VISIBLE_S = 20.0
"""How long a file that another node has written may take to be seen here: a network file system remembers for a while what is not there."""
SPARE = 1.05
"""Times the size of the newest whole checkpoint: the room the next one is given, which is of the same size but for a few bytes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint."""

    path: Path
    state: RunState
    skipped: tuple[str, ...] = ()
    """Newer ones that were passed over, each with what is wrong with it."""


class CheckpointStore:
    """The checkpoints of a run: the newest few whole, and the best as weights only.

    Args:
        folder: Where they are; made if it is not there.
        keep: Newest whole checkpoints to keep.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def write(self, state: RunState, fill: Callable[[Path], None]) -> Path:
        """Write a whole checkpoint of `state`, whose files `fill` puts into the folder it is given.

        Raises:
            CheckpointError: The files cannot be written.
        """
        path = self.begin(state.version)
        fill(path)
        return self.commit(path, state)

    def write_best(self, state: RunState, fill: Callable[[Path], None]) -> Path:
        """Replace the best checkpoint; the one before stays readable until the new one is complete. Raises as `write` does."""
        path = self.begin_best()
        fill(path)
        return self.commit(path, state)

    def is_empty(self) -> bool:
        """Whether there is no whole checkpoint yet, whose size would tell that of the next."""
        return not any(map(_is_marked, self._versions()))

    def begin(self, version: WeightVersion, needs: int = 0) -> Path:
        """Return an empty folder to fill with the checkpoint of `version`. Leftovers of an earlier crash are cleared.

        Args:
            version: That of the weights.
            needs: Bytes that it will take, where none before it tells.

        Raises:
            CheckpointError: The disk has no room for it; nothing was written.
        """
        path = self._begin(f"{PREFIX}{version:08d}")
        self._require_room(path, next(filter(_is_marked, self._versions()), None), needs)
        return path

    def begin_best(self, needs: int = 0) -> Path:
        """Return an empty folder to fill with the best weights. Raises as `begin` does, by the size of the best ones so far."""
        path = self._begin(BEST)
        self._require_room(path, self._folder / BEST, needs)
        return path

    def commit(self, path: Path, state: RunState, sealed: Mapping[str, list[int | str]] | None = None) -> Path:
        """Make a folder from `begin` or `begin_best` a checkpoint of `state` and return where it is now.

        Args:
            path: The folder.
            state: Of the run, at the version of the weights.
            sealed: Of files in it, from who wrote them; the others are sealed here.

        Raises:
            CheckpointError: The files cannot be written; the checkpoints before are untouched.
        """
        final = self._folder / path.name.removeprefix(TMP)
        old = self._folder / (OLD + final.name)
        try:
            (path / STATE).write_text(json.dumps(asdict(state)))
            mark = json.dumps(_sealed(path, sealed or {}), indent=1)
            sync_folders(path)
            if final.exists():
                final.rename(old)
            path.rename(final)
            sync(self._folder)
            replace_text(final / MARK, mark)
            shutil.rmtree(old, ignore_errors=True)
            if final.name != BEST:
                self._prune(state.version)
        except OSError as error:
            raise CheckpointError(f"{final}: cannot be written: {error}; free space there, then run again to resume") from error
        return final

    def newest(self) -> Checkpoint | None:
        """Return the newest whole checkpoint whose files are as they were written, or None. Says which it had to pass over.

        Raises:
            RunFolderError: There were some, and each is damaged: to begin anew would throw away what they stood for.
        """
        self._settle()
        skipped: list[str] = []
        for path in self._versions():
            try:
                found = Checkpoint(path, self.verify(path), tuple(skipped))
            except CheckpointError as error:
                skipped.append(str(error))
                continue
            _warn(skipped)
            return found
        if any(os.path.lexists(path / MARK) for path in self._versions()):  # one without a mark is what a crash leaves of the first
            remedy = "put one back from a copy, or move the run folder away to train from the start"
            raise RunFolderError("\n  ".join([f"{self._folder}: none of its checkpoints is whole; {remedy}", *skipped]))
        _warn(skipped)
        return None

    def best(self) -> Checkpoint | None:
        """Return the best weights, or None. Raises CheckpointError where they are damaged."""
        self._settle()
        path = self._folder / BEST
        return Checkpoint(path, self.verify(path)) if path.exists() else None

    def best_version(self) -> WeightVersion | None:
        """Return of which version the best weights are, None where there are none. Raises CheckpointError where they are damaged."""
        found = self.best()
        return None if found is None else found.state.version

    def set_best_aside(self, target: Path) -> None:
        """Move the best weights to `target`/best: they are of a lineage that was left. A crash leaves them whole, here or there."""
        target.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target / BEST, ignore_errors=True)
        (self._folder / BEST).rename(target / BEST)
        sync(self._folder)

    def verify(self, path: Path) -> RunState:
        """Return the state of the checkpoint at `path` after reading all of it.

        Raises:
            CheckpointError: It is incomplete, or a file is not as it was written.
        """
        try:
            expected = read_object(path / MARK, error=CheckpointError)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: incomplete, it has no readable {MARK} mark") from error
        try:
            found = digests(path, _content(path))
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error})") from error
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                what = "is missing" if name not in found else "is not part of it" if name not in expected else "was changed or cut"
                raise CheckpointError(f"{path}: {name} {what}")
        try:
            return RunState(**read_object(path / STATE, error=CheckpointError))
        except TypeError as error:
            raise CheckpointError(f"{path}: {STATE} is of another version of toolrl ({error})") from error

    def _begin(self, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._settle()
        for left in self._folder.glob(TMP + (BEST if name == BEST else f"{PREFIX}*")):
            shutil.rmtree(left)
        path = self._folder / (TMP + name)
        path.mkdir()
        return path

    def _require_room(self, path: Path, like: Path | None, needs: int) -> None:
        """Foresee a full disk, before a rank writes a byte, by the size of a whole checkpoint `like` this one, if there is any."""
        before = like.name if like is not None and _is_marked(like) else ""
        needed = int(SPARE * (sum(file.stat().st_size for file in files_below(self._folder / before)) if before else needs))
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            path.rmdir()
            goes_on = f"then run again to resume from {before}" if before else "or name another run.dir"
            raise CheckpointError(
                f"{self._folder}: a checkpoint needs about {needed:,} bytes, and {free:,} are free; free space there, {goes_on}"
            )

    def _settle(self) -> None:
        """Finish or undo a replacement that a crash cut short."""
        for old in self._folder.glob(OLD + "*"):
            final = self._folder / old.name.removeprefix(OLD)
            if (final / MARK).exists():
                shutil.rmtree(old)
            else:
                shutil.rmtree(final, ignore_errors=True)
                old.rename(final)

    def _versions(self) -> Iterator[Path]:
        found = (path for path in self._folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal())
        yield from sorted(found, reverse=True)

    def _prune(self, newest: WeightVersion) -> None:
        """Keep `keep` marked checkpoints up to `newest`; a later one belongs to a lineage that a resume has left."""
        kept = 0
        for path in self._versions():
            lives = (path / MARK).exists() and int(path.name.removeprefix(PREFIX)) <= newest and kept < self._keep
            if lives:
                kept += 1
            else:
                (path / MARK).unlink(missing_ok=True)
                shutil.rmtree(path, ignore_errors=True)  # a reader on another node may hold a file; the next prune finds it


def _warn(skipped: Sequence[str]) -> None:
    for problem in skipped:
        logger.warning("checkpoint passed over: %s", problem)


def _is_marked(path: Path) -> bool:
    return (path / MARK).exists()


def _content(folder: Path) -> list[Path]:
    """Return every file of a checkpoint but its mark."""
    return [path for path in files_below(folder) if path != folder / MARK]


def _sealed(folder: Path, known: Mapping[str, list[int | str]]) -> Seals:
    """Seal every file of `folder` but those that are `known`, and return what all are.

    Raises:
        CheckpointError: A known one is not here, or of another size, and stays so for a while: it was lost on the way.
    """
    end = time.monotonic() + VISIBLE_S
    while wrong := [name for name, what in known.items() if _size(folder / name) != what[0]]:
        if time.monotonic() > end:
            got, expected = _size(folder / wrong[0]), known[wrong[0]][0]
            raise CheckpointError(
                f"{folder / wrong[0]}: a rank has written {expected} bytes, and here are {'none' if got is None else got}; run.dir must be "
                "on a file system that every node shares"
            )
        time.sleep(VISIBLE_S / 20)
    names = {str(path.relative_to(folder)): path for path in _content(folder)}
    return dict(sorted((dict(known) | seal(folder, (path for name, path in names.items() if name not in known))).items()))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
