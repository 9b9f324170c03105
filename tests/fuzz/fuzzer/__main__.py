"""The command: fuzz, measure growth, report; exit 1 if anything was found.

PYTHONPATH=tests/fuzz python -m fuzzer [--inputs N] [--seed S] [--findings FILE] | --replay FILE
"""

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from fuzzer.engine import (
    DEADLINE_S,
    DEADLINE_S_PER_KIB,
    JUDGES,
    VERDICTS,
    Input,
    Tally,
    fuzz,
    made_inputs,
    read_findings,
    try_one,
    write_findings,
)
from fuzzer.growth import LARGE, MOST, SMALL, growths
from fuzzer.strategies import each_text
from fuzzer.targets import READERS

HYPOTHESIS_SHARE = 0.03
CHUNK = 20_000
HANG_S = 120


def main() -> int:
    """Run the command line."""
    options = _options()
    tally = Tally()
    signal.signal(signal.SIGALRM, _hangs)
    if options.replay:
        for finding in read_findings(options.replay):
            tally.inputs["replayed"] += 1
            try_one(Input(finding.generator, finding.text), finding.target, (READERS | JUDGES)[finding.target], tally)
    else:
        _run(options.inputs, options.seed, tally)
    _report(tally)
    steep = not options.replay and _grow()
    if tally.findings:
        options.findings.parent.mkdir(parents=True, exist_ok=True)
        write_findings(options.findings, tally.findings)
        print(f"written to {options.findings}; try them again with --replay {options.findings}")
    return 1 if tally.findings or steep else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzzer", description="Fuzz everything that reads a model's text.")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="texts, each given to every target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path("runs/fuzz_findings.jsonl"), help="where failing inputs are written")
    parser.add_argument("--replay", type=Path, help="try the inputs of such a file again")
    return parser.parse_args()


def _run(count: int, seed: int, tally: Tally) -> None:
    start = time.time()
    by_hypothesis = int(count * HYPOTHESIS_SHARE)
    for first in range(0, count - by_hypothesis, CHUNK):
        signal.alarm(HANG_S + CHUNK // 100)
        fuzz(made_inputs(min(CHUNK, count - by_hypothesis - first), seed * 1_000_003 + first), tally)
        _progress(tally, start)
    for first in range(0, by_hypothesis, CHUNK // 10):
        signal.alarm(HANG_S + CHUNK // 100)
        size = min(CHUNK // 10, by_hypothesis - first)
        each_text(size, seed * 1_000_003 + first, lambda text: fuzz([Input("hypothesis", text)], tally))
        _progress(tally, start)
    signal.alarm(0)
    inputs, seconds = tally.inputs.total(), time.time() - start
    results = tally.outcomes.total()
    print(f"\n{inputs:,} inputs to {len(READERS)} readers and {VERDICTS} of {len(JUDGES)} verifiers in {seconds:.0f} s: ", end="")
    print(f"{inputs / seconds:,.0f} inputs/s, {results / seconds:,.0f} results/s")


def _grow() -> bool:
    """Measure growth and report it; whether any was steep."""
    start = time.time()
    found = sorted(growths(), key=lambda each: each.ratio, reverse=True)
    print(f"growth from {SMALL:,} to {LARGE:,} characters: {len(found):,} measured in {time.time() - start:.0f} s, ", end="")
    print(f"{sum(each.is_steep for each in found)} over {MOST:g} times; the steepest")
    for each in [each for each in found if each.is_steep] or found[:3]:
        print(f"  {each.ratio:5.1f} times, to {each.large_s * 1000:.0f} ms: {each.target!r} on {each.bait}")
    return any(each.is_steep for each in found)


def _progress(tally: Tally, start: float) -> None:
    print(f"{tally.inputs.total():,} inputs, {len(tally.findings)} findings, {time.time() - start:.0f} s", file=sys.stderr, flush=True)


def _hangs(signum: int, frame: FrameType | None) -> None:
    text = next((f.f_locals["each"] for f in _frames(frame) if isinstance(f.f_locals.get("each"), Input)), None)
    raise TimeoutError(f"a chunk did not end; now at {text!r:.2000}")


def _frames(frame: FrameType | None) -> list[FrameType]:
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def _report(tally: Tally) -> None:
    print("\ninputs by generator")
    for name, count in tally.inputs.most_common():
        print(f"  {name:22}{count:12,}")
    print("outcomes, all targets")
    for name, count in tally.outcomes.most_common():
        print(f"  {name:22}{count:12,}")
    for words, (value, target, each), unit in (("slowest", tally.slowest, "ms"), ("nearest to its deadline", tally.nearest, "%")):
        shown = value * (1000 if unit == "ms" else 100)
        print(f"{words}: {shown:.1f} {unit}, {target!r} on {len(each.text):,} characters by {each.generator!r}: {each.text[:60]!r}")
    kinds = {kind: sum(count for (k, _), count in tally.kinds.items() if k == kind) for kind in ("exception", "too slow")}
    print(f"exceptions   {kinds['exception']}")
    print(f"over deadline {kinds['too slow']} (processor time, {DEADLINE_S * 1000:.0f} ms + {DEADLINE_S_PER_KIB * 1000:.0f} ms per KiB)")
    for (kind, target), count in tally.kinds.most_common():
        example = next(f for f in tally.findings if (f.kind, f.target) == (kind, target))
        print(f"  {kind} at {target!r}: {count}, as {example.detail[:160]} on {example.text[:80]!r}")


if __name__ == "__main__":
    sys.exit(main())
