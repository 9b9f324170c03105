"""What the line of metrics of a version must say, worked out anew from its rows: see `controller.report`.

Counts of work and staleness are those of the batch, rewards those of every draw but the discarded ones, `loop/draws` all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from statistics import fmean, pstdev
from typing import Any

from toolrl.monitor.outcomes import Outcome
from toolrl.pipelines.auditing.account import Account, Row
from toolrl.pipelines.auditing.findings import Findings

REASON = "reward/reason/"
ROUNDING = 1e-9
"""Most that a mean may differ from the same mean taken in another order, relative."""
_REWARDS = ("reward/mean", "reward/std", "reward/format_right", "reward/content_right")


def measured(account: Account, *, masked: bool) -> dict[str, float]:
    """Return metrics of a version by its rows; what has no value, because no completion has a reward, is absent.

    Args:
        account: The rows.
        masked: `algo.truncated` is `mask`: truncated completions are not trained.
    """
    batch = [row for row in account.rows if row["trained"]]
    kept = [row["num_tokens"] for row in batch if not (masked and row["finish_reason"] == "length")]
    ages = [account.version - 1 - row["oldest_version"] for row in batch]
    found = {
        "loop/draws": float(len(account.draws)),
        "loop/completions": float(len(kept)),
        "loop/tokens": float(sum(kept)),
        "loop/masked_completions": float(len(batch) - len(kept)),
    }
    if ages:
        found |= {"loop/staleness_mean": fmean(ages), "loop/staleness_max": float(max(ages))}
    return found | _rewards([row for row in account.rows if row["outcome"] != Outcome.DISCARDED])


def check_line(account: Account, line: Mapping[str, Any], findings: Findings, *, masked: bool) -> None:
    """Add to `findings` where the line of a version says other than its rows."""
    ours = measured(account, masked=masked)
    names = [*ours, *(name for name in (*_REWARDS, *sorted(line)) if name not in ours and (name in _REWARDS or name.startswith(REASON)))]
    wrong = [name for name in names if not _equal(ours.get(name), line.get(name))]
    if wrong:
        told = ", ".join(f"{name} {_shown(line.get(name))} where its rows have {_shown(ours.get(name))}" for name in wrong[:3])
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        version = account.version
        findings.problem("metrics", f"version {version}: its line of metrics has {told}{more}", version=version)


def _rewards(rows: list[Row]) -> dict[str, float]:
    if not rows:
        return {}
    judged = [row for row in rows if row["reward"] is not None]
    found = {f"{REASON}{reason}": n / len(rows) for reason, n in sorted(Counter(row["reason"] for row in rows).items())}
    found["reward/failed_share"] = 1 - len(judged) / len(rows)
    found["rollout/truncated_share"] = fmean(row["finish_reason"] == "length" for row in rows)
    if judged:
        rewards = [row["reward"] for row in judged]
        right = (fmean(row[name] for row in judged) for name in ("format_right", "content_right"))
        found |= dict(zip(_REWARDS, (fmean(rewards), pstdev(rewards), *right), strict=True))
    return found


def _equal(ours: float | None, theirs: object) -> bool:
    if ours is None or not isinstance(theirs, int | float):
        return ours is None and theirs is None
    return math.isclose(ours, theirs, rel_tol=ROUNDING, abs_tol=ROUNDING)


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:.10g}" if isinstance(value, int | float) else repr(value)
