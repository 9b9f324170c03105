"""What must hold within one version: its rows are whole groups, each with one end, sampled as the run's settings say.

Account, Rules ─ each of CHECKS ─> (draw, what is wrong with it) ─> the first one, and how many more
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from toolrl.data.draws import sampling_seed
from toolrl.monitor.outcomes import Outcome
from toolrl.pipelines.auditing.account import Account, dull, outcome_of
from toolrl.pipelines.auditing.findings import Findings
from toolrl.pipelines.auditing.rules import Rules
from toolrl.types import Reason

Wrong = Iterator[tuple[int, str]]
Check = Callable[[Account, Rules], Wrong]


def check_rows(account: Account, rules: Rules, findings: Findings) -> None:
    """Add to `findings` what is wrong with the rows of a version."""
    version = account.version
    for kind, check in CHECKS.items():
        for i, (draw, text) in enumerate(found := list(check(account, rules))):
            if i == 0:
                more = f" (and {len(found) - 1} more of this version)" if len(found) > 1 else ""
                findings.problem(kind, f"version {version}, draw {draw}: {text}{more}", version=version, draw=draw)
    if account.trained != rules.config.loop.prompts_per_batch:
        expected = rules.config.loop.prompts_per_batch
        findings.problem("size", f"version {version}: {account.trained} groups in its batch, expected {expected}", version=version)


def _versions(account: Account, rules: Rules) -> Wrong:
    for draw, rows in account.draws.items():
        if foreign := {row["version"] for row in rows} - {account.version}:
            yield draw, f"its rows say version {min(foreign)}"


def _attempts(account: Account, rules: Rules) -> Wrong:
    for draw, rows in account.draws.items():
        found = {row["attempt"] for row in rows}
        if len(found) > 1 or account.attempt not in found:
            yield draw, f"rows of attempt {max(found)} in a file of attempt {account.attempt}"
        elif account.attempt not in rules.attempts:
            yield draw, f"written by attempt {account.attempt}, which versions.json does not have"


def _samples(account: Account, rules: Rules) -> Wrong:
    expected = range(rules.config.sampling.n)
    for draw, rows in account.draws.items():
        counts = Counter(row["sample"] for row in rows)
        if missing := [sample for sample in expected if sample not in counts]:
            yield draw, f"sample {missing[0]} of {len(expected)} is missing"
        if foreign := [sample for sample in counts if sample not in expected]:
            yield draw, f"sample {foreign[0]} of {len(expected)}"
        if doubled := [sample for sample, count in counts.items() if count > 1]:
            yield draw, f"sample {doubled[0]} is there {counts[doubled[0]]} times"


def _ends(account: Account, rules: Rules) -> Wrong:
    for draw, rows in account.draws.items():
        ends = {(row["outcome"], row["outcome_reason"], row["trained"]) for row in rows}
        outcome, why, trained = (rows[0][name] for name in ("outcome", "outcome_reason", "trained"))
        if len(ends) > 1:
            yield draw, f"{len(ends)} ends: {', '.join(sorted(_told(*end) for end in ends))}"
        elif outcome_of(rows) is None:
            yield draw, f"the outcome {outcome!r} is none"
        elif trained and outcome not in (Outcome.TRAINED, Outcome.QUARANTINED):
            yield draw, f"{outcome}, and in the batch"
        elif not trained and outcome == Outcome.TRAINED:
            yield draw, "trained, and not in the batch"
        elif bool(why) != (outcome == Outcome.DISCARDED):
            yield draw, f"{outcome} for the reason {why!r}"


def _told(outcome: str, why: str | None, trained: bool) -> str:
    return f"{outcome}{f' ({why})' if why else ''}{', in the batch' if trained else ''}"


def _left_out(account: Account, rules: Rules) -> Wrong:
    for draw, rows in account.draws.items():
        given_up, why = rows[0]["outcome"] == Outcome.DISCARDED, rules.left_out.get(draw)
        if given_up and why != rows[0]["outcome_reason"]:
            yield draw, "discarded, and left_out.json does not say so"
        elif why is not None and not given_up:
            yield draw, f"{rows[0]['outcome']}, and left_out.json says that it is not to be trained: {why}"


def _quarantined(account: Account, rules: Rules) -> Wrong:
    for draw, rows in account.draws.items():
        barred = all(row["reason"] == Outcome.QUARANTINED for row in rows)
        if barred != (rows[0]["outcome"] == Outcome.QUARANTINED) and rows[0]["outcome"] != Outcome.DISCARDED:
            yield draw, f"{rows[0]['outcome']}, and its verdicts say {'quarantined' if barred else rows[0]['reason']}"


def _dull(account: Account, rules: Rules) -> Wrong:
    for draw, rows in account.draws.items():
        outcome, refill = rows[0]["outcome"], rules.config.loop.refill
        if outcome == Outcome.DULL and not refill:
            yield draw, "dull, and loop.refill=false replaces none"
        elif outcome == Outcome.DULL and not dull(rows):
            yield draw, "dull, and its rewards differ"
        elif outcome == Outcome.TRAINED and refill and dull(rows):
            yield draw, "trained, and its rewards agree, which loop.refill=true replaces"


def _advantages(account: Account, rules: Rules) -> Wrong:
    for draw, rows in account.draws.items():
        for row in rows:
            if (row["advantage"] is not None) != row["trained"]:
                yield draw, f"sample {row['sample']} has {'no' if row['trained'] else 'an'} advantage, and is {row['outcome']}"
            elif row["loss_share"] is not None and not row["trained"]:
                yield draw, f"sample {row['sample']} has a share of the loss, and is {row['outcome']}"


def _staleness(account: Account, rules: Rules) -> Wrong:
    for draw, rows in account.draws.items():
        for row in rows:
            age, attempt = account.version - 1 - row["oldest_version"], rules.attempts.get(row["attempt"])
            if age < 0 or row["oldest_version"] < 0:
                yield draw, f"sample {row['sample']} was sampled by version {row['oldest_version']}, before there was one"
            elif row["trained"] and attempt is not None and age > attempt.max_staleness:
                bound = f"loop.max_staleness={attempt.max_staleness} of attempt {attempt.number}"
                yield draw, f"sample {row['sample']} was {age} versions old when it was trained, over {bound}"


def _seeds(account: Account, rules: Rules) -> Wrong:
    for draw, rows in account.draws.items():
        first = sampling_seed(rules.config.run.seed, draw)
        for row in rows:
            if row["seed"] is not None and row["seed"] != first + row["sample"]:
                yield draw, f"sample {row['sample']} has the seed {row['seed']}, expected {first + row['sample']}"


def _prompts(account: Account, rules: Rules) -> Wrong:
    if rules.prompts is None:
        return
    for draw, rows in account.draws.items():
        expected = rules.prompts.id_of(draw) if draw >= 0 else "none"
        if foreign := {row["prompt_id"] for row in rows} - {expected}:
            yield draw, f"asked the prompt {min(foreign)!r}, expected {expected!r}"


def _reasons(account: Account, rules: Rules) -> Wrong:
    known = {str(reason) for reason in Reason}
    for draw, rows in account.draws.items():
        if foreign := {row["reason"] for row in rows} - known:
            yield draw, f"the reason {min(foreign)!r} is none"


CHECKS: Mapping[str, Check] = {
    "version": _versions,
    "attempt": _attempts,
    "sample": _samples,
    "outcome": _ends,
    "left out": _left_out,
    "quarantine": _quarantined,
    "dull": _dull,
    "advantage": _advantages,
    "staleness": _staleness,
    "seed": _seeds,
    "prompt": _prompts,
    "reason": _reasons,
}
