"""Verifiers that misbehave, for the pool's tests: importable by name, since workers are other processes."""

import itertools
import os
import threading
from dataclasses import dataclass

from toolrl.types import Reason, Verdict

LEAKED = []


@dataclass(frozen=True)
class Misbehaving:
    """Judges by what the text says: `right`, `hang`, `never` (in C, deaf to alarms), `die`, `raise`, `swell`; anything else is wrong."""

    def __call__(self, prompt, text):
        if text == "hang":
            threading.Event().wait()
        if text == "never":
            return -1 in itertools.count()
        if text == "die":
            os._exit(1)
        if text == "raise":
            raise ValueError("a verifier's own mistake")
        while text == "swell":
            LEAKED.append(bytearray(2**20))
        return Verdict(1.0, Reason.CORRECT) if text == "right" else Verdict(0.0, Reason.WRONG_NAME)


class Absent:
    """Cannot be made again in another process."""

    def __reduce__(self):
        return absent, ()


def absent():
    if os.environ.get("TOOLRL_TEST_ABSENT"):
        raise ImportError("no module named my_rewards")
    return Absent()
