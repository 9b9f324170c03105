"""What an error of a run most likely came of, and what to do next: read off its words.

    error text ─ first rule whose words are in it ─> Cause(culprit, cause, next)

Rules go from the particular to the general; the errors themselves say who, what and how long (`actors.wait`), so a rule is a few words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ACTOR = r"(?:engine|reward|learner)-\d+"
_NAMES = re.compile(rf"no (?:answer|word)[^\n]*? from ({_ACTOR}(?:, {_ACTOR})*)")
_DEAD = re.compile(rf"({_ACTOR})(?: has died|: it is dead)")
_NAMED = re.compile(rf"\b({_ACTOR})\b")
_SETTING = re.compile(r"within [\d.e+]+ s \(([a-z_]+\.[a-z_]+)\)")


@dataclass(frozen=True, slots=True)
class Cause:
    """Who is to blame, why, and what next. Of a rule, with words to fill in: `{actor}`, `{run}`, `{config}`, `{resume}`, `{raise}`."""

    culprit: str
    cause: str
    next: str


_LOOK_FOR_KILLS = "dmesg -T | grep -i -E 'out of memory|killed process' | tail; free -g"
_RULES: tuple[tuple[str, Cause], ...] = (
    (
        r"No space left on device|a checkpoint needs about [\d,]+ bytes|Disk quota exceeded",
        Cause("disk", "the file system of the run is full", "df -h {run}; du -xh --max-depth=2 {run} | sort -h | tail\n{resume}"),
    ),
    (
        r"none of its checkpoints is whole",
        Cause("checkpoints", "every one is damaged: a disk, or a copy that broke off", "toolrl audit {run} --deep"),
    ),
    (
        r"was changed or cut|is not part of it|has no readable COMPLETE",
        Cause(
            "checkpoint",
            "a file of it is not as it was written: a disk, or a copy that broke off",
            "toolrl audit {run} --deep\n{resume}",
        ),
    ),
    (
        r"CUDA out of memory|torch\.\S*OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED|No available memory for the cache blocks",
        Cause(
            "GPU memory",
            "the settings want more than the GPU has, or another process is on it",
            "nvidia-smi; toolrl plan {config}; lower learner.max_tokens_per_microbatch or engine.max_num_seqs\n{resume}",
        ),
    ),
    (
        r"Version mismatch|is of another version of toolrl",
        Cause(
            "versions",
            "two sides run other versions of Python, Ray or toolrl",
            "toolrl doctor; on every node: pip list | grep -i -E 'ray|torch|vllm|toolrl'",
        ),
    ),
    (
        r"cannot reach a Ray cluster|Failed to connect to GCS|Unauthenticated|asks for a token",
        Cause(
            "Ray cluster",
            "its head is not there, a port is blocked, or the token is missing or wrong",
            "toolrl doctor --cluster ADDRESS",
        ),
    ),
    (
        r"did not grant the placement|short of|are short",
        Cause(
            "placement",
            "the cluster has not the processors or GPUs that the run asks for, or others hold them",
            "ray status; toolrl rl {config} --dry-run",
        ),
    ),
    (
        r"SIGKILL|exit code -9|\bOOM\b|out[-_ ]of[-_ ]memory|low on memory|Cannot allocate memory|MemoryError",
        Cause("{actor}", "its process was killed, most often by the kernel for want of memory", _LOOK_FOR_KILLS + "\n{resume}"),
    ),
    (
        r"max_dull_in_row|teaches nothing",
        Cause(
            "rewards",
            "every group of completions got the same reward: too easy, too hard, or a verifier that is wrong",
            "toolrl explain {run}",
        ),
    ),
    (
        r"not finite|explod|grad_norm|cannot be trained",
        Cause(
            "learner",
            "training diverged: learning rate, a broken batch, or engine and learner that disagree",
            "toolrl explain {run}; lower learner.lr, or run.on_divergence=rewind\n{resume}",
        ),
    ),
    (
        r"disagree|did not load what was sent|answered with different lengths",
        Cause(
            "weights",
            "engine and learner hold different weights after a push",
            "compare model.dtype and weights.backend with a run that worked\n{resume}",
        ),
    ),
    (
        r"did not join within|no rank 0 at|cannot reach each other",
        Cause("{actor}", "a rank died, hangs, or its node cannot be reached", "toolrl doctor --cluster ADDRESS\n{resume}"),
    ),
    (
        r"no answer within|did not arrive within|not on the disk within",
        Cause("{actor}", "it hangs, or had more to do than its deadline allows", "{raise}\n{resume}"),
    ),
    (
        r"could not be replaced|engines are left|no reward worker is left",
        Cause("{actor}", "it ended again and again; the last lines say of what", "{resume}"),
    ),
    (r"has died|is dead", Cause("{actor}", "its process ended; its last lines say of what", _LOOK_FOR_KILLS + "\n{resume}")),
)
_UNKNOWN = Cause("{actor}", "see what it says", "{resume}")


def culprit_of(error: str) -> str:
    """Return the actor that an error blames: one that died, else those that are silent, else the first it names; else an empty text."""
    if found := _DEAD.search(error):
        return found.group(1)
    if found := _NAMES.search(error):
        return found.group(1)
    found = _NAMED.search(error)
    return found.group(1) if found else ""


def cause_of(error: str, *, run: Path, resume: str, otherwise: str = "the run") -> Cause:
    """Return what an error came of. `otherwise` is the culprit where it names none."""
    rule = next((cause for words, cause in _RULES if re.search(words, error, re.IGNORECASE)), _UNKNOWN)
    setting = _SETTING.search(error)
    more = f"where it had only too much to do: {setting.group(1)}=MORE" if setting else "look at the node it runs on"
    words = {"actor": culprit_of(error) or otherwise, "run": str(run), "config": str(run / "config.yaml"), "resume": resume, "raise": more}
    return Cause(_filled(rule.culprit, words), _filled(rule.cause, words), _filled(rule.next, words))


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: words[found.group(1)], text)
