"""Lines of a template are replaced where they stand; one that is not there, or twice, is a broken template."""

import pytest

from toolrl.pipelines.launching.template import filled

TEXT = "#SBATCH --nodes=4\nBIN=.venv/bin   # where\n  cpus: 3\n"


def test_indent_and_comment_stay():
    new = filled(TEXT, {"BIN=": r"BIN='a\1 b'", "cpus: ": "cpus: 7", "#SBATCH --nodes=": "#SBATCH --nodes=1"})
    assert new == "#SBATCH --nodes=1\nBIN='a\\1 b'   # where\n  cpus: 7\n"


def test_a_line_may_be_left_out():
    assert filled(TEXT, {"BIN=": None}) == "#SBATCH --nodes=4\n  cpus: 3\n"


@pytest.mark.parametrize("text", ["", TEXT + TEXT])
def test_a_line_must_be_there_once(text):
    with pytest.raises(AssertionError, match="BIN="):
        filled(text, {"BIN=": "BIN=x"})
