"""What counts as a layer that is short of elements."""

import pytest

pytestmark = pytest.mark.stack


def test_the_padding_rows_of_a_vocabulary_are_not_missed(engine, engine_host, pushing, tiny_models):
    push = pushing([engine], tiny_models[False])
    assert push.model.config.vocab_size % 64 != 0, "this vocabulary would not be padded"
    push.publish(1)  # fails where padding counts as missing


def test_a_report_is_given_once(engine, engine_host, pushing, tiny_models):
    pushing([engine], tiny_models[False]).publish(1)
    (report,) = engine_host.run(engine.manifest())
    assert report.received.count == 0
    assert report.unfilled == ()
