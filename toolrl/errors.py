"""Every error toolrl raises on purpose.

ToolRLError
├─ UserError              the user must change something: exit code 2
│  ├─ ConfigError         settings are wrong; lists every problem, each with what was got and what to do
│  ├─ DataError           a row cannot become a Prompt; names the source and the line
│  ├─ PlacementError      the cluster is too small; holds the table asked / there / short
│  └─ RunFolderError      the run folder belongs to another run, or is damaged
└─ RunError               the run failed: exit code 1
   ├─ RolloutError        an engine failed to sample
   ├─ ReplyError          one ask has no answer; others may have one
   ├─ ScoringError        the verifier pool cannot score
   ├─ LearnerError        the learner group failed
   │  ├─ LearnerLostError a rank died or is silent: the group must be made anew
   │  └─ DivergedError    a batch cannot be trained: not finite, exploding, or not what the engines sampled
   ├─ WeightSyncError     a push of weights failed
   │  └─ DisagreementError learner and engines were found to hold different weights
   ├─ CheckpointError     a checkpoint cannot be written or read
   ├─ DeadlineError       something did not answer in time; says what, who and how long
   ├─ NothingToLearnError every group of verdicts agrees: no advantage, no gradient
   └─ PreemptedError      the cluster wants its machines back (SIGTERM): exit code 75, and the same command goes on

A wrong tool call by the *model* is none of these: it is a `Verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence


class ToolRLError(Exception):
    """Base of every error toolrl raises on purpose."""

    exit_code = 1


class UserError(ToolRLError):
    """The user must change something before this can work."""

    exit_code = 2


class ConfigError(UserError, ValueError):
    """Settings are wrong. Holds every problem found, so that all can be mended at once."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[str, ...]]]:
        """Pickle by the problems, since the message is made from them."""
        return type(self), (self.problems,)


class DataError(UserError, ValueError):
    """A row cannot become a Prompt."""


class PlacementError(UserError):
    """The cluster cannot hold what was asked for."""


class RunFolderError(UserError):
    """The run folder belongs to another run, or is damaged."""


class RunError(ToolRLError, RuntimeError):
    """The run failed."""


class RolloutError(RunError):
    """An engine failed to sample."""


class GroupLostError(RolloutError):
    """A group was sampled and is nowhere any more: what held it died, or cannot be reached."""


class ReplyError(RunError):
    """One ask cannot be answered; others may be."""


class ScoringError(RunError):
    """The verifier pool cannot score."""


class LearnerError(RunError):
    """The learner group failed."""


class LearnerLostError(LearnerError):
    """A rank died or is silent: the group can do nothing more, and must be made anew."""


class DivergedError(LearnerError):
    """A batch cannot be trained: a gradient is not finite or explodes, or engine and learner disagree on its log-probabilities."""


class WeightSyncError(RunError):
    """A push of weights failed."""


class DisagreementError(WeightSyncError):
    """Learner and engines were found to hold different weights."""


class CheckpointError(RunError):
    """A checkpoint cannot be written or read."""


class DeadlineError(RunError, TimeoutError):
    """Something did not answer in time."""


class NothingToLearnError(RunError):
    """Every group of verdicts agrees: no advantage, no gradient."""


class PreemptedError(RunError):
    """The run was asked to stop and has saved what it could; the same command goes on from there."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: a launcher may take it as "start me again"
