"""What was sent and what arrived, tensor by tensor: the first of the two proofs of a push.

    learner ── declares Manifest ──┐
                                   ├─ differences() ── empty, or the push fails
    engine workers ── LoadReport ──┘

A tensor that never arrived shows nowhere else: the engine keeps the old one and goes on sampling. So the learner declares what its model
has, each worker records what its model was really given, and the two must be the same set, with the same shapes, types and bits. What
becomes of them inside the engine is the other proof's part: the probe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as it goes over the wire."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """Name of the torch type, as in `float32`."""
    num_bytes: int
    digest: int
    """Sum of its bits; see `packing.digest`."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The tensors of one push, in the order they were sent or received."""

    tensors: tuple[TensorSpec, ...]

    @property
    def count(self) -> int:
        """Number of tensors."""
        return len(self.tensors)

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors together."""
        return sum(tensor.num_bytes for tensor in self.tensors)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What one engine worker was given in the last push, and what its model still lacked when the push ended."""

    worker: str
    received: Manifest
    unfilled: tuple[str, ...]
    """Layers of which some elements were not loaded, each with how many were."""

    @classmethod
    def of(cls, engine: str, plain: Mapping[str, Any]) -> LoadReport:
        """Rebuild the report that a worker of `engine` gave in plain values."""
        specs = tuple(TensorSpec(name, tuple(shape), dtype, size, digest) for name, shape, dtype, size, digest in plain["received"])
        return cls(f"{engine} worker {plain['rank']}", Manifest(specs), tuple(plain["unfilled"]))


def differences(sent: Manifest, report: LoadReport) -> list[str]:
    """Return in words how what `report` says differs from what was `sent`; empty where the push is whole."""
    found = [f"{report.worker}: {line}" for line in _compare(sent, report.received)]
    return found + [f"{report.worker}: {layer}" for layer in report.unfilled]


def _compare(sent: Manifest, received: Manifest) -> Iterable[str]:
    theirs = {tensor.name: tensor for tensor in received.tensors}
    for tensor in sent.tensors:
        other = theirs.get(tensor.name)
        if other is None:
            yield f"{tensor.name} did not arrive"
        elif _words(other) != _words(tensor):
            yield f"{tensor.name} was sent as {_words(tensor)} and arrived as {_words(other)}"
        elif other.digest != tensor.digest:
            yield f"{tensor.name} arrived with other values than were sent"
    for name in theirs.keys() - {tensor.name for tensor in sent.tensors}:
        yield f"{name} arrived and was not sent"
    for name, times in Counter(tensor.name for tensor in received.tensors).items():
        if times > 1:
            yield f"{name} arrived {times} times"


def _words(tensor: TensorSpec) -> str:
    return f"{tensor.dtype} {list(tensor.shape)} ({tensor.num_bytes} bytes)"
