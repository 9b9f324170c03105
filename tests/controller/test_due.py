"""When a version is measured and saved."""

import pytest

from toolrl.config.schema import CheckpointConfig
from toolrl.controller.due import checkpoint_due, evaluation_due
from toolrl.types import RunState


@pytest.mark.parametrize(("version", "every", "due"), [(4, 4, True), (5, 4, False), (7, 4, True), (4, 0, False), (7, 0, True)])
def test_a_version_is_measured_now_and_then_and_at_the_end(version, every, due):
    assert evaluation_due(version, every, 7) is due


SAVED = [(10, None, True, True), (11, None, True, False), (11, 11, True, True), (11, 11, False, False), (3, 3, True, False)]


@pytest.mark.parametrize(("version", "best", "keep_best", "due"), SAVED)
def test_a_version_is_saved_now_and_then_and_where_it_is_the_best_but_never_the_one_that_was_loaded(version, best, keep_best, due):
    state = RunState(version=version, best_version=best)
    assert checkpoint_due(state, 3, CheckpointConfig(every=5, best=keep_best)) is due
