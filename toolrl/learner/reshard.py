"""A checkpoint that N ranks wrote, loaded by M: each rank cuts its own shards out of their files.

    files of N ranks, mapped into memory ─> what this rank would have saved as one of M ─> DeepSpeed loads it as its own

ZeRO-3 keeps ceil(elements / ranks) elements of every parameter on each rank, the last one padded, one parameter behind the other in the
flat tensors of its sub-group. Master weights and every optimizer state of such a length are cut anew; nothing is computed, so every
value stays what it was to the bit. Nothing is written either, and a rank reads its own share only.

DeepSpeed's universal checkpoint does it through the disk: it knows Adam's states only (not Muon's), writes the checkpoint a second and
for a while a third time, lets every rank read all of it, and gives each parameter group the settings of the first, which would decay
norms and biases. The tests compare the two where it is right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from toolrl.errors import CheckpointError

_OPTIMIZER_FILE = re.compile(r"(?:bf16_)?zero_pp_rank_(\d+)_mp_rank_00_optim_states\.pt")
_MODEL_FILE = "zero_pp_rank_0_mp_rank_00_model_states.pt"
_STATES = "optimizer_state_dict"
_MASTERS = "fp32_flat_groups"


def files_of_ranks(folder: Path) -> list[Path]:
    """Return the optimizer files of a checkpoint, rank 0's first; none where there is no checkpoint.

    Raises:
        CheckpointError: One is missing between them.
    """
    found = {int(match[1]): path for path in folder.glob("*_optim_states.pt") if (match := _OPTIMIZER_FILE.fullmatch(path.name))}
    if missing := sorted(set(range(len(found))) - found.keys()):
        raise CheckpointError(f"{folder}: the files of rank {missing[0]} are missing")
    return [found[rank] for rank in range(len(found))]


def load_resharded(engine: Any, folder: Path, *, strict: bool) -> dict[str, Any]:
    """Fill a DeepSpeed engine from a checkpoint of another number of ranks, and return what rank 0 saved beside. Collective.

    Args:
        engine: With a ZeRO-3 optimizer, as it starts.
        folder: DeepSpeed's files.
        strict: Every parameter of the module is in the checkpoint; not so where frozen ones were left out.

    Raises:
        CheckpointError: It is of another model or another optimizer, or files are missing.
    """
    files, zero, rank = files_of_ranks(folder), engine.optimizer, dist.get_rank()
    first = _read(folder / _MODEL_FILE)
    if len(files) != (written := first["dp_world_size"]):
        raise CheckpointError(f"{folder}: written by {written} ranks, and the files of {len(files)} are there")
    old = Layout.of(first["param_shapes"], len(files))
    new = Layout.of(engine._get_zero_param_shapes(), dist.get_world_size())
    _require_same(old, new, folder)
    groups = [zero.sub_group_to_group_id[i] for i in range(len(new.sub_groups))]
    cut = cut_shards([_read(file)[_STATES] for file in files], old, new, rank, groups, folder)
    zero.checkpoint_event_prologue()
    engine.load_module_state_dict(first, strict=strict)  # parameters are empty in it, and come from the master weights; buffers are not
    zero.load_state_dict({rank: cut})
    engine.lr_scheduler.load_state_dict(first["lr_scheduler"])
    engine.global_steps, engine.global_samples, engine.skipped_steps = (
        first[name] for name in ("global_steps", "global_samples", "skipped_steps")
    )
    zero.checkpoint_event_epilogue()
    return dict(first)


@dataclass(frozen=True)
class Layout:
    """Where parameters lie in the flat tensors of a rank.

    Args:
        sub_groups: Elements of each parameter by name, in the order they lie, for each flat tensor.
        ranks: Ranks that share them.
    """

    sub_groups: tuple[dict[str, int], ...]
    ranks: int

    @classmethod
    def of(cls, shapes: Sequence[Mapping[str, torch.Size]], ranks: int) -> Layout:
        """Take the layout from shapes as DeepSpeed keeps them."""
        return cls(tuple({name: shape.numel() for name, shape in each.items()} for each in shapes), ranks)

    @property
    def elements(self) -> dict[str, int]:
        """Elements of every parameter."""
        return {name: elements for each in self.sub_groups for name, elements in each.items()}

    def piece(self, elements: int) -> int:
        """Return how many elements of a parameter each rank keeps, padding included."""
        return -(-elements // self.ranks)

    def places(self) -> dict[str, tuple[int, int]]:
        """Return sub-group and offset in its flat tensor of every parameter."""
        found: dict[str, tuple[int, int]] = {}
        for group, each in enumerate(self.sub_groups):
            offset = 0
            for name, elements in each.items():
                found[name] = group, offset
                offset += self.piece(elements)
        return found


def cut_shards(
    saved: Sequence[Mapping[str, Any]], old: Layout, new: Layout, rank: int, groups: Sequence[int], where: Path
) -> dict[str, Any]:
    """Return what `rank` of `new.ranks` would have saved, from what the `old.ranks` ranks did.

    Args:
        saved: DeepSpeed's state of each rank's optimizer.
        old: Layout they were saved in.
        new: Layout to make.
        rank: Whose share.
        groups: Parameter group of each sub-group of `new`.
        where: The checkpoint, for messages.

    Raises:
        CheckpointError: The parameters were grouped otherwise, by another optimizer.
    """
    states = [each[_STATES]["state"] for each in saved]
    param_groups = saved[0][_STATES]["param_groups"]
    old_group = {index: group for group, each in enumerate(param_groups) for index in each["params"]}
    places, cut, masters = old.places(), {}, []
    for index, names in enumerate(new.sub_groups):
        sources = {places[name][0] for name in names}
        if {old_group.get(source) for source in sources} != {groups[index]}:
            raise CheckpointError(f"{where}: its parameters are grouped as by another optimizer; set learner.optimizer back")
        masters.append(_cut([each[_MASTERS] for each in saved], old, new, rank, index))
        source = min(sources)
        length = saved[0][_MASTERS][source].numel()
        cut[index] = {
            key: _cut([{i: state[key] for i, state in each.items() if key in state} for each in states], old, new, rank, index)
            if isinstance(value, Tensor) and value.numel() == length and value.dim()
            else value  # as the step is: the same on every rank
            for key, value in states[0][source].items()
        }
    indices = [[index for index, group in enumerate(groups) if group == i] for i in range(len(param_groups))]
    settings = [{**each, "params": own} for each, own in zip(param_groups, indices, strict=True)]
    return {**saved[0], _MASTERS: masters, _STATES: {"state": cut, "param_groups": settings}}


def _cut(flats: Sequence[Mapping[int, Tensor] | Sequence[Tensor]], old: Layout, new: Layout, rank: int, index: int) -> Tensor:
    """Return the flat tensor of sub-group `index` on `rank`, from the flat tensors of each old rank by their sub-group."""
    places, names = old.places(), new.sub_groups[index]
    target = torch.zeros(sum(map(new.piece, names.values())), dtype=torch.float32)
    begin = 0
    for name, elements in names.items():
        piece, (group, offset) = old.piece(elements), places[name]
        share = new.piece(elements)
        at, end = min(rank * share, elements), min((rank + 1) * share, elements)
        into = begin
        while at < end:
            source, inside = divmod(at, piece)
            count = min(piece - inside, end - at)
            target[into : into + count] = flats[source][group][offset + inside : offset + inside + count]
            at, into = at + count, into + count
        begin += share
    return target


def _require_same(old: Layout, new: Layout, where: Path) -> None:
    """Raise CheckpointError where the parameters are not the same."""
    was, now = old.elements, new.elements
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            got, expected = (f"{each[name]:,} elements" if name in each else "none" for each in (was, now))
            raise CheckpointError(f"{where}: is of another model: it has {got} of {name}, and this model {expected}")


def _read(file: Path) -> dict[str, Any]:
    """Return a file that DeepSpeed wrote; its tensors stay on the disk until they are used."""
    found: dict[str, Any] = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    return found
