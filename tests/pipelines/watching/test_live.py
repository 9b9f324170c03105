"""How often the folder is looked at; the view itself is tried in a terminal by `test_watch`."""

import pytest

from toolrl.pipelines.watching.live import until_next


@pytest.mark.parametrize(("took_s", "next_s"), [(0.0, 1.0), (0.1, 1.0), (0.2, 2.0), (3.0, 30.0)])
def test_looking_takes_a_tenth_of_the_time_at_most(took_s, next_s):
    assert until_next(took_s) == pytest.approx(next_s)
