"""The learner's part of a push: lives in every rank; rank 0 talks to the engines.

    connect ─> send, send, … ─> close ─> connect …      every rank, together

The transport is vLLM's, chosen by name: `gloo` (ours) and `nccl` send from rank 0 to all engines; with `ipc` every rank lays the weights
into memory of its own GPU, where the engine worker on that GPU reads them, and rank 0 tells the engines where. All get the same source
and the same client, so that a push is one code path.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

import torch
from vllm.distributed.weight_transfer.base import TrainerInitInfo, TrainerWeightTransferEngine
from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory
from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo

from toolrl.errors import LearnerLostError, ToolRLError, WeightSyncError
from toolrl.weights.client import EngineLink, SyncClient
from toolrl.weights.gloo_trainer import GlooTrainerInfo
from toolrl.weights.manifest import Manifest
from toolrl.weights.packing import num_bytes
from toolrl.weights.plugin import register
from toolrl.weights.source import Zero3Source

_NCCL = "NCCL error: "
"""How vLLM's own binding of NCCL, which the transfer group is made of, begins its errors; those of the learner's group have a class."""


class WeightSender:
    """Sends the weights of a model to engines.

    Args:
        model: The model, under ZeRO-3 or not, whose parameters have the names of its Hugging Face checkpoint.
        rank: Rank in the learner group.
        backend: gloo, nccl or ipc.
        bucket_bytes: Most bytes gathered and sent at a time.
        dtype: Type on the wire, that of the engines; None sends each parameter as it is.
    """

    def __init__(self, model: torch.nn.Module, *, rank: int, backend: str, bucket_bytes: int, dtype: torch.dtype | None = None) -> None:
        self._source = Zero3Source(model, bucket_bytes, dtype, sender=rank == 0 or backend == "ipc")
        self._declared = self._source.metadata()  # of the model itself, whatever is made of it on the way out
        self._rank = rank
        self._backend = backend
        self._bucket_bytes = bucket_bytes
        self._trainer: TrainerWeightTransferEngine | None = None

    def connect(self, host: str, engines: Sequence[EngineLink], timeout_s: float) -> None:
        """Form a transfer group with `engines`, in place of the one before. Called on every rank; only rank 0 needs `engines`.

        Args:
            host: Address of rank 0 that the engines can reach. It listens there on a free port.
            engines: The engines, in an order that is the same for the whole life of the group.
            timeout_s: Longest wait for any one answer, here and in `send`.

        Raises:
            DeadlineError: An engine did not join in time.
            WeightSyncError: An engine or the transport failed, or another process took the port: it can be tried again.
        """
        register()
        self.close()
        client = SyncClient(engines, timeout_s)
        try:
            info = self._info(host, 1 + client.num_workers, timeout_s)
            self._trainer = WeightTransferTrainerFactory.trainer_init(info, client=client, source=self._source)
        except ToolRLError:
            raise
        except (RuntimeError, OSError) as error:  # no learner group is in this: what torch or NCCL raises is of the transfer group
            raise WeightSyncError(f"the transfer group was not formed: {type(error).__name__}: {error}") from error

    def send(self) -> Manifest:
        """Send the weights as they are now; the engines must be paused. Called on every rank.

        Returns:
            What had to be sent, with the values that were; on ranks that send nothing, nothing.

        Raises:
            DeadlineError: An engine did not answer in time; the group is gone.
            WeightSyncError: An engine or the transport failed; the group is gone.
            LearnerLostError: NCCL failed in a broadcast, which leaves the other ranks in the middle of gathering a weight.
        """
        if self._trainer is None:
            raise RuntimeError("connect() comes before send()")
        try:
            self._trainer.send_weights()
        except RuntimeError as error:
            if type(error) is not RuntimeError or not str(error).startswith(_NCCL):
                raise
            raise LearnerLostError(f"the transfer group broke while weights were sent: {error}") from error
        return self._source.manifest(self._declared)

    def close(self) -> None:
        """Leave the transfer group, if there is one."""
        if self._trainer is not None:
            self._trainer.shutdown()
            self._trainer = None

    def _info(self, host: str, world_size: int, timeout_s: float) -> TrainerInitInfo:
        if self._backend == "gloo":
            return GlooTrainerInfo(host, world_size, self._bucket_bytes, timeout_s, rank=self._rank)
        if self._backend == "ipc":
            return IPCTrainerInitInfo(packed=True, packed_buffer_size_bytes=self._ipc_bytes, rank=self._rank)
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo  # needs NCCL, which CPU machines do not have

        return NCCLTrainerInitInfo(
            master_address=host,
            master_port=_free_port(host) if self._rank == 0 else 0,
            world_size=world_size,
            packed=True,
            packed_buffer_size_bytes=self._bucket_bytes,
            rank=self._rank,
        )

    @property
    def _ipc_bytes(self) -> int:
        """Size of the memory shared with an engine worker: vLLM refuses a tensor that does not fit as a whole."""
        return max(self._bucket_bytes, *(num_bytes(meta) for meta in self._declared))


def _free_port(host: str) -> int:
    """Find a free port; another process may take it before NCCL's store does, and then `connect` fails and can be tried again."""
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])
