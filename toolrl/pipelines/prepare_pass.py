"""The one pass of `toolrl prepare` over its rows, and what is counted on the way.

    spec ─ read_prompts_of ─> steps ─ Filters.screen ─ side ─ Augmenter ─> a chunk ─ lengths ─ Filters.keep ─> writer of the part

What is remembered of a row fits in some 250 bytes, whatever its size.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from toolrl.data import augment
from toolrl.data.augment import Augmenter
from toolrl.data.filters import REASONS, UNREADABLE, Counted, Drop, Filters
from toolrl.data.readings import KINDS
from toolrl.data.report import quantiles
from toolrl.data.rows import RawRow, read_prompts_of
from toolrl.data.split import PARTS, side
from toolrl.data.store import PromptWriter
from toolrl.data.table import Table, key_of
from toolrl.errors import DataError
from toolrl.types import Prompt

FORMAT = "toolrl.prepared/2"
"""Marks a prepared folder, in its report.json."""
CHUNK_ROWS = 512
"""Prompts whose lengths are measured at once."""
MAX_SOURCES = 40
"""Lines of the table; rows of further sources share one."""
OTHER_SOURCES = "(other sources)"
MAX_LICENCES = 8
"""Licences listed for a source."""
CHAT = "chat"
"""The format of rows that are nobody's published set."""

NO_CALL = ("drop", "keep")
CONTAMINATION = ("remove", "keep")


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """What shapes the data; all of it stands in the report."""

    tokenizer: str | None = None
    """The model whose tokenizer measures prompts; without one no prompt is too long, and lengths are in characters."""
    template: str = ""
    """A shipped prompt template, a file, or a folder that holds one; empty: the tokenizer's own, else the default."""
    max_prompt_tokens: int = 4096
    heldout_share: float = 0.1
    seed: int = 0
    format: str = "auto"
    skip_unreadable: bool = False
    """Leave out rows of the user's own that cannot be read, as those of published sets always are."""
    no_call: str = "drop"
    contamination: str = "remove"
    fingerprints: tuple[str, ...] = ()
    """Files of further benchmarks, made by `toolrl fingerprint`."""
    drop_tools: float = 0.0
    mask_names: float = 0.0

    def problems(self) -> list[str]:
        """Return what is wrong, a line each."""
        shares = (("drop_tools", self.drop_tools), ("mask_names", self.mask_names))
        found = [f"{name}: got {share}; give a share from 0 to 1" for name, share in shares if not 0 <= share <= 1]
        if not 0 <= self.heldout_share < 1:
            found.append(f"heldout_share: got {self.heldout_share}; give a share from 0 to below 1")
        if self.max_prompt_tokens < 1:
            found.append(f"max_prompt_tokens: got {self.max_prompt_tokens}; set it to 1 or more")
        choices = (("no_call", self.no_call, NO_CALL), ("contamination", self.contamination, CONTAMINATION))
        return found + [f"{name}: got {got!r}; name one of {', '.join(known)}" for name, got, known in choices if got not in known]


@dataclass
class _Cell:
    """A cell of the table: rows of one source, with one turn of the assistant or several."""

    raw: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A prompt that nothing in its own row speaks against."""

    cell: _Cell
    prompt: Prompt
    shown: Prompt
    """As it is trained on, after augmentation."""
    kinds: tuple[str, ...]
    part: str


@dataclass
class Pass:
    """One pass over the rows, and what is counted on the way."""

    settings: PrepareSettings
    filters: Filters
    measure: Callable[[Sequence[Prompt]], Sequence[int]]
    rows: dict[str, int] = field(default_factory=dict)
    prompts_in: int = 0
    table: dict[tuple[str, bool], _Cell] = field(default_factory=dict)
    licences: dict[str, list[str]] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    augmented: dict[str, int] = field(default_factory=dict)
    lengths: array[int] = field(default_factory=lambda: array("q"))
    _ids: Table = field(default_factory=Table)

    @property
    def rows_in(self) -> int:
        """Rows read, of all inputs."""
        return sum(self.rows.values())

    def write(self, inputs: Sequence[str], folder: Path) -> None:
        """Write the prompts that are kept."""
        self.rows = dict.fromkeys(inputs, 0)
        with ExitStack() as stack:
            writers = {part: stack.enter_context(PromptWriter(folder / f"{part}.parquet")) for part in PARTS}
            for number, spec in enumerate(self.rows, start=1):
                candidates = self._candidates(spec)
                while chunk := list(islice(candidates, CHUNK_ROWS)):
                    lengths = self.measure([candidate.shown for candidate in chunk])
                    for candidate, length in zip(chunk, lengths, strict=True):
                        if self.filters.keep(candidate.prompt, length):
                            self._count(candidate, length)
                            writers[candidate.part].write(replace(candidate.shown, id=self._claim(candidate.prompt.id, number, spec)))

    def _candidates(self, spec: str) -> Iterator[_Candidate]:
        settings = self.settings
        change = Augmenter(settings.drop_tools, settings.mask_names, settings.seed)
        for row, prompts in read_prompts_of(spec, settings.format, skip_unreadable=settings.skip_unreadable):
            self.rows[spec] += 1
            cell = self._cell(row, prompts)
            cell.raw += 1
            if row.unreadable:
                self.filters.drop(row.place, Drop(UNREADABLE, row.unreadable))
            self.prompts_in += len(prompts)
            for prompt in filter(None, map(self.filters.screen, prompts)):
                part = side(prompt.dialogue, heldout_share=settings.heldout_share, seed=settings.seed)
                shown, kinds = change(prompt) if part == "train" else (prompt, ())
                yield _Candidate(cell, prompt, shown, kinds, part)

    def _cell(self, row: RawRow, prompts: Sequence[Prompt]) -> _Cell:
        """Return the row's cell: published sets are told by their name, other rows by the source they give or the file they stand in."""
        source = row.kind if row.kind not in ("", CHAT) else prompts[0].source if prompts else Path(row.place.rpartition(":")[0]).name
        sources = {name for name, _ in self.table}
        if source not in sources and len(sources) >= MAX_SOURCES:
            source = OTHER_SOURCES
        stated = self.licences.setdefault(source, []) if row.licence else []
        if row.licence and row.licence not in stated and len(stated) < MAX_LICENCES:
            stated.append(row.licence)
        return self.table.setdefault((source, row.multi_turn), _Cell())

    def _claim(self, prompt_id: str, number: int, spec: str) -> str:
        """Return the id of a prompt: its own, with the number of its input behind it where a prompt of an earlier input has that."""
        for name in (prompt_id, f"{prompt_id}@{number}"):
            key = key_of(name.encode())
            given_by = self._ids.get(key)
            if given_by is None:
                self._ids.put(key, number)
                return name
            if given_by == number:
                break
        raise DataError(f"{spec}: the id {prompt_id!r} was given to an earlier row; give each row an `id` of its own")

    def _count(self, candidate: _Candidate, length: int) -> None:
        candidate.cell.kept += 1
        self.kept[candidate.part] += 1
        self.lengths.append(length)
        for kind in candidate.kinds:
            self.augmented[kind] = self.augmented.get(kind, 0) + 1

    def report(self, items: Mapping[str, int]) -> dict[str, Any]:
        """Return the report; `items` are those of each benchmark that was looked for."""
        cells = [(source, multi, cell) for (source, multi), cell in self.table.items()]
        hits = self.filters.hits
        return {
            "format": FORMAT,
            "settings": asdict(self.settings) | {"fingerprints": list(self.settings.fingerprints)},
            "inputs": self.rows,
            "table": [{"source": s, "turns": "multi" if multi else "single", **asdict(cell)} for s, multi, cell in cells],
            "licences": self.licences,
            "rows_in": self.rows_in,
            "prompts_in": self.prompts_in,
            "kept": self.kept,
            "dropped": _counted(self.filters.dropped, REASONS),
            "repaired": _counted(self.filters.repaired, KINDS),
            "augmented": {kind: self.augmented[kind] for kind in augment.KINDS if kind in self.augmented},
            "contamination": {
                "removed": self.settings.contamination == "remove",
                "benchmarks": {name: {"items": items[name], "hits": hits.get(name, Counted()).rows} for name in items},
                "samples": [sample for name in items for sample in hits.get(name, Counted()).samples],
            },
            "prompt_length": {"unit": "tokens" if self.settings.tokenizer else "characters", **quantiles(self.lengths)},
        }


def _counted(found: Mapping[str, Counted], order: Iterable[str]) -> dict[str, Any]:
    return {name: asdict(found[name]) for name in order if name in found}
