"""Failures of the loop's parts, by name: a user reads which part died doing what, never an ExceptionGroup.

part(kind, doing)   around each call of a part: its error leaves as a ToolRLError that names the part
first_failure       an ExceptionGroup -> its first such error, the others as notes
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from toolrl.errors import RunError, ToolRLError


@contextmanager
def part(kind: type[RunError], doing: str) -> Iterator[None]:
    """Name the part in whatever it raises.

    A ToolRLError passes with a note. Anything else becomes a `kind`, even a cancellation that did not come from us: left alone, it would
    end the run as quietly as Ctrl-C.
    """
    try:
        yield
    except ToolRLError as error:
        error.add_note(doing)
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise kind(f"{doing}: the call was cancelled from inside") from error
    except Exception as error:
        raise kind(f"{doing}: {type(error).__name__}: {error}") from error


def first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first ToolRLError in `group` (the first error if there is none), with the others as notes."""
    errors = list({id(error): error for error in _leaves(group)}.values())  # a task's error reaches us from the task and from its awaiter
    chosen = next((error for error in errors if isinstance(error, ToolRLError)), errors[0])
    for error in errors:
        if error is not chosen:
            chosen.add_note(f"and also: {type(error).__name__}: {error}")
    return chosen


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
