"""Every group of a batch has one end."""

from toolrl.monitor.outcomes import Outcome, entries_of
from toolrl.types import Batch, GroupRef, Reason, ScoredGroup, Trajectory, Verdict


def group(draw, *reasons):
    ref = GroupRef(draw, f"p{draw}", 1, (1,) * len(reasons), (0,) * len(reasons), (False,) * len(reasons), "e0", 0.5, None)
    return ScoredGroup(ref, tuple(Verdict(None, reason) for reason in reasons))


def trajectory(draw, *reasons):
    return Trajectory(group(draw, *reasons), (0.0,) * len(reasons))


def test_entries_are_in_draw_order_each_with_its_end():
    wrong, failed, barred = Reason.WRONG_VALUE, Reason.VERIFIER_ERROR, "quarantined"
    batch = Batch(
        3, (trajectory(11, wrong, wrong), trajectory(13, barred, barred), trajectory(14, barred, failed)),
        (group(12, failed, failed), group(10, barred, barred)),
    )  # fmt: skip
    assert [(entry.scored.group.draw, entry.outcome, entry.why) for entry in entries_of(batch)] == [
        (10, Outcome.QUARANTINED, ""),
        (11, Outcome.TRAINED, ""),  # dull, and left in its batch
        (12, Outcome.DULL, ""),
        (13, Outcome.QUARANTINED, ""),
        (14, Outcome.TRAINED, ""),  # one other verdict, and it is no quarantine
    ]
