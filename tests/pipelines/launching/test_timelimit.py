"""Time limits as Slurm's manual has them (sbatch, --time)."""

import pytest

from toolrl.errors import ConfigError
from toolrl.pipelines.launching.timelimit import seconds_of, text_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("1:30", 90), ("12:00:00", 43200), ("3-00", 259200), ("3-12:00", 302400), ("1-02:03:04", 93784)],
)
def test_the_six_forms(text, seconds):
    assert seconds_of(text) == seconds
    assert seconds_of(text_of(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "1h", "1:2:3:4", "-5", "3-", "1.5", "१२"])
def test_other_forms_are_refused(text):
    with pytest.raises(ConfigError, match="--time: got"):
        seconds_of(text)
