"""Who takes part in a push, as far as a push concerns them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolrl.types import WeightVersion
from toolrl.weights.manifest import LoadReport, Manifest


class PushEngine(Protocol):
    """An engine, as far as a push concerns it."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    async def pause(self, *, recompute: bool) -> None:
        """Stop sampling, keeping the requests; `recompute`: their keys and values are computed again after `resume`."""
        ...

    async def manifest(self) -> list[LoadReport]:
        """Say what each worker was given."""
        ...

    async def reset_caches(self) -> None:
        """Drop cached prefixes."""
        ...

    async def commit(self, version: WeightVersion) -> None:
        """Label what is sampled from now on."""
        ...

    async def resume(self) -> None:
        """Sample again."""
        ...

    async def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return the log-probabilities [T - 1] of each sequence, at temperature 1."""
        ...

    async def health(self, *, timeout_s: float) -> None:
        """Return once it has answered. Raises a RunError where it is dead or silent."""
        ...


E = TypeVar("E", bound=PushEngine)
E_contra = TypeVar("E_contra", bound=PushEngine, contravariant=True)


class PushLearner(Protocol[E_contra]):
    """The learner group, as far as a push concerns it."""

    async def connect(self, engines: Sequence[E_contra]) -> None:
        """Form the transfer group with `engines`, in place of the one before."""
        ...

    async def send(self) -> Manifest:
        """Send the weights and let the engines load them; returns what had to be sent."""
        ...

    async def probe(self, sequences: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return the log-probabilities [T - 1] of each sequence, at temperature 1."""
        ...


class Sharing(Protocol):
    """What a push does besides, where learner and engines share their GPUs."""

    async def before_send(self) -> None:
        """Make room for the engines' weights and let them be loaded."""
        ...

    async def after_send(self) -> None:
        """Give the engines what else they need to sample."""
        ...

    async def before_open(self) -> None:
        """Take the learner off the GPUs."""
        ...
