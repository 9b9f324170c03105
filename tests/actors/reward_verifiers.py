"""Verifiers that misbehave, for the pool's tests: importable by name, since workers are other processes."""

import os
import threading
from dataclasses import dataclass

from toolrl.types import Reason, Verdict


@dataclass(frozen=True)
class Misbehaving:
    """Judges by what the text says: `right`, `hang`, `die`, `raise`; anything else is wrong."""

    def __call__(self, prompt, text):
        if text == "hang":
            threading.Event().wait()
        if text == "die":
            os._exit(1)
        if text == "raise":
            raise ValueError("a verifier's own mistake")
        return Verdict(1.0, Reason.CORRECT) if text == "right" else Verdict(0.0, Reason.WRONG_NAME)
