"""Whether a failure is that of the group: the ranks cannot reach each other any more, be it that one has died, hangs or was cut off.

A group that broke can do nothing again, whatever broke it: Gloo closes its connections at the first deadline, NCCL its communicator.
"""

from __future__ import annotations

import torch.distributed as dist

from toolrl.errors import ToolRLError

_GLOO = ("gloo/", "Application timeout caused pair closure")
"""Gloo has no error class of its own: every message names its source file, or is this one, once a deadline has closed the connections."""


def is_broken(failure: BaseException) -> bool:
    """Whether `failure` is what torch.distributed raises where a rank does not answer: of NCCL, of Gloo, or of the store."""
    if isinstance(failure, ToolRLError):
        return False
    return isinstance(failure, dist.DistError) or (isinstance(failure, RuntimeError) and any(part in str(failure) for part in _GLOO))
