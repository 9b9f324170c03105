"""What DeepSpeed wrote is read as tensors and plain values: a file that would run code while it is read is refused.

DeepSpeed's files are pickles, and it asks torch to do whatever they say (`weights_only=False`). torch has a switch for the one who runs the
process, which overrules whoever calls it; two small classes that DeepSpeed stores beside the tensors are named to it.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from deepspeed.runtime.fp16.loss_scaler import LossScaler
from deepspeed.runtime.zero.config import ZeroStageEnum

from toolrl.errors import CheckpointError

SWITCH = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_STORED = (LossScaler, ZeroStageEnum)


@contextmanager
def tensors_only(folder: Path) -> Iterator[None]:
    """Let `torch.load` in the body read nothing but tensors and plain values, whatever its caller asks for.

    Raises:
        CheckpointError: A file of `folder` holds something else.
    """
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "1"
    try:
        with torch.serialization.safe_globals(list(_STORED)):
            yield
    except (pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{folder}: a file of the checkpoint {fault(error)}; it was not loaded") from error
    finally:
        os.environ.pop(SWITCH)
        os.environ.update({} if before is None else {SWITCH: before})


def fault(error: pickle.UnpicklingError | EOFError) -> str:
    """Return what is wrong with a pickle that torch refused to read."""
    named = re.search(r"GLOBAL (\S+)", str(error))
    return f"asks for {named[1]}, which is no tensor and could run code" if named else "is damaged"
