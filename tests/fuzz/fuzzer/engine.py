"""The loop of the fuzzer: make a text, give it to every target under its deadline, keep what went wrong and what was slowest."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from fuzzer.generators import GENERATORS
from fuzzer.targets import READERS, Target, judges

DEADLINE_S, DEADLINE_S_PER_KIB = 0.1, 0.05
VERDICTS = 3
"""Verifiers that each input is given to."""
JUDGES = judges()
MAX_KEPT = 50
"""Findings kept of one kind at one target."""


def deadline_s(text: str) -> float:
    """The processor time that one target may take for a text."""
    return DEADLINE_S + DEADLINE_S_PER_KIB * len(text) / 1024


@dataclass(frozen=True)
class Input:
    """A text and where it came from."""

    generator: str
    text: str


@dataclass(frozen=True)
class Finding:
    """An input that a target broke a promise on."""

    kind: str
    """`exception` or `too slow`."""
    target: str
    generator: str
    detail: str
    text: str


@dataclass
class Tally:
    """What a run of the fuzzer saw."""

    inputs: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    """How often each outcome came up: a fuzzer that reaches one branch proves little."""
    findings: list[Finding] = field(default_factory=list)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: tuple[float, str, Input] = (0.0, "", Input("", ""))
    """Processor seconds, target, input."""
    nearest: tuple[float, str, Input] = (0.0, "", Input("", ""))
    """The largest share of its deadline that a target used."""

    def find(self, finding: Finding) -> None:
        """Count a finding, and keep it if there are not many of its kind."""
        self.kinds[finding.kind, finding.target] += 1
        if self.kinds[finding.kind, finding.target] <= MAX_KEPT:
            self.findings.append(finding)


def made_inputs(count: int, seed: int) -> Iterator[Input]:
    """Make `count` inputs, the same ones for the same seed."""
    rng = Random(seed)
    names = [*GENERATORS]
    for name in rng.choices(names, [GENERATORS[name][1] for name in names], k=count):
        yield Input(name, GENERATORS[name][0](rng))


def fuzz(inputs: Iterable[Input], tally: Tally) -> None:
    """Give every input to every reader, and to VERDICTS of the verifiers, which take turns."""
    names = [*JUDGES]
    for each in inputs:
        turn = tally.inputs.total() * VERDICTS
        tally.inputs[each.generator] += 1
        for name, target in READERS.items():
            try_one(each, name, target, tally)
        for name in (names[(turn + k) % len(names)] for k in range(VERDICTS)):
            try_one(each, name, JUDGES[name], tally)


def try_one(each: Input, name: str, target: Target, tally: Tally) -> None:
    """Give one input to one target and write down what came out; what was slow is tried again, since garbage is collected anywhere."""
    try:
        outcome, seconds = _timed(target, each.text)
        if seconds > deadline_s(each.text) / 8:
            outcome, seconds = min((_timed(target, each.text) for _ in range(2)), key=lambda pair: pair[1])
    except Exception as error:  # noqa: BLE001 that nothing is raised is the claim being tested
        tally.find(Finding("exception", name, each.generator, f"{type(error).__name__}: {error}"[:500], each.text))
        return
    tally.outcomes[outcome] += 1
    share = seconds / deadline_s(each.text)
    tally.slowest = max(tally.slowest, (seconds, name, each), key=lambda seen: seen[0])
    tally.nearest = max(tally.nearest, (share, name, each), key=lambda seen: seen[0])
    if seconds > deadline_s(each.text):
        tally.find(Finding("too slow", name, each.generator, f"{seconds:.3f} s, allowed {deadline_s(each.text):.3f} s", each.text))


def _timed(target: Target, text: str) -> tuple[str, float]:
    start = time.thread_time()
    outcome = target(text)
    return outcome, time.thread_time() - start


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write findings, one JSON object a line."""
    path.write_text("".join(json.dumps(asdict(finding)) + "\n" for finding in findings))


def read_findings(path: Path) -> Iterator[Finding]:
    """Read what `write_findings` wrote."""
    for line in path.read_text().splitlines():
        yield Finding(**json.loads(line))
