"""The one place where a verifier's failure becomes a verdict: it has no reward, and leaves its group's statistics."""

from __future__ import annotations

from traceback import format_exception_only

from toolrl.calls.fault import shown
from toolrl.protocols import Verifier
from toolrl.reward.deadline import LateError, within
from toolrl.types import Group, Prompt, Reason, Verdict


def judge(verifier: Verifier, prompt: Prompt, text: str, deadline_s: float | None = None) -> Verdict:
    """Return the verdict on one completion; an exception of the verifier is `verifier_error`, with its text in `got`.

    `deadline_s` is for a user's reward outside the reward workers: what takes longer is `verifier_timeout`. Without it a caller's own
    deadline (`within`) ends the judging.
    """
    try:
        with within(deadline_s):
            return verifier(prompt, text)
    except LateError as late:
        if deadline_s is None:  # the deadline of somebody further out
            raise
        return Verdict(None, Reason.VERIFIER_TIMEOUT, got=str(late))
    except (Exception, SystemExit) as error:  # noqa: BLE001 a verifier may be a user's; whatever it raises is reported in the verdict
        return Verdict(None, Reason.VERIFIER_ERROR, got=shown("".join(format_exception_only(error)).strip()))


def judge_group(verifier: Verifier, group: Group) -> tuple[Verdict, ...]:
    """Return one verdict for each completion of `group`, in order."""
    return tuple(judge(verifier, group.draw.prompt, completion.text) for completion in group.completions)
