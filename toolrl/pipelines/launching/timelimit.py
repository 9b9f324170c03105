"""The time limit of a job, in Slurm's own words."""

from __future__ import annotations

import re

from toolrl.errors import ConfigError

_FORMS = (
    r"(?P<minutes>\d+)",
    r"(?P<minutes>\d+):(?P<seconds>\d+)",
    r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)",
    r"(?P<days>\d+)-(?P<hours>\d+)(:(?P<minutes>\d+)(:(?P<seconds>\d+))?)?",
)
_UNITS_S = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def seconds_of(text: str) -> int:
    """Return a limit in seconds: `90` (minutes), `90:00`, `12:00:00`, `3-00`, `3-12:00`, `3-12:00:00`. Raises ConfigError.

    >>> seconds_of("1-02:30")
    95400
    """
    for form in _FORMS:
        if match := re.fullmatch(form, text, flags=re.ASCII):
            return sum(int(number) * _UNITS_S[unit] for unit, number in match.groupdict().items() if number is not None)
    raise ConfigError(f"--time: got {text!r}; give minutes, as in 90, or hours:minutes:seconds, or days-hours:minutes, as in 3-12:00")


def text_of(seconds: int) -> str:
    """Return a limit as Slurm writes it.

    >>> text_of(95400)
    '1-02:30:00'
    """
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}-" if days else "") + f"{hours:02}:{minutes:02}:{rest:02}"
