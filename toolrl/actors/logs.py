"""How an actor is called in Ray's dashboard, and how a line of its log begins: with time, run and actor.

2026-11-29 14:02:11 INFO demo engine-0: version 12 is live; 16 draws sampled since the one before, the last of them draw 191
"""

from __future__ import annotations

import logging
import sys
from collections import Counter

_made: Counter[str] = Counter()
"""How often this process has named an actor so."""


def telling_name(run: str, role: str) -> dict[str, str]:
    """Return the option that names an actor: its run and its part; with a number where it takes the place of another.

    A name is free again only once Ray knows that who had it is dead.
    """
    if not run:
        return {}
    name = f"{run} {role}"
    _made[name] += 1
    return {"name": name if _made[name] == 1 else f"{name} #{_made[name]}"}


def speak(run: str, actor: str) -> None:
    """Let what toolrl says in this process go to its log, in the form above; an actor of no run stays silent but for warnings."""
    if not run:
        return
    logger = logging.getLogger("toolrl")
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    who = f"{run} {actor}".replace("%", "%%")  # a run folder may be called anything
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {who}: %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
