"""The manifest of a push."""

import pytest

from toolrl.weights.manifest import LoadReport, Manifest, TensorSpec, differences

EMBED = TensorSpec("embed", (4, 2), "float32", 32, 0)
HEAD = TensorSpec("head", (4, 2), "float32", 32, 0)
NORM = TensorSpec("norm", (2,), "bfloat16", 4, 0)
SENT = Manifest((EMBED, NORM, HEAD))


def report(*received, unfilled=()):
    return LoadReport("engine-0 worker 1", Manifest(received), unfilled)


def test_count_and_bytes_are_those_of_all_tensors():
    assert (SENT.count, SENT.num_bytes) == (3, 68)


def test_an_equal_set_differs_in_nothing_whatever_its_order():
    assert differences(SENT, report(HEAD, EMBED, NORM)) == []


@pytest.mark.parametrize(
    ("received", "words"),
    [
        ((EMBED, NORM), "engine-0 worker 1: head did not arrive"),
        ((*SENT.tensors, TensorSpec("extra", (1,), "float32", 4, 0)), "engine-0 worker 1: extra arrived and was not sent"),
        ((*SENT.tensors, NORM), "engine-0 worker 1: norm arrived 2 times"),
        (
            (EMBED, NORM, TensorSpec("head", (2, 4), "float32", 32, 0)),
            "engine-0 worker 1: head was sent as float32 [4, 2] (32 bytes) and arrived as float32 [2, 4] (32 bytes)",
        ),
        (
            (EMBED, TensorSpec("norm", (2,), "float32", 8, 0), HEAD),
            "engine-0 worker 1: norm was sent as bfloat16 [2] (4 bytes) and arrived as float32 [2] (8 bytes)",
        ),
        ((EMBED, NORM, TensorSpec("head", (4, 2), "float32", 32, 1)), "engine-0 worker 1: head arrived with other values than were sent"),
    ],
)
def test_each_kind_of_difference_is_said_in_words(received, words):
    assert differences(SENT, report(*received)) == [words]


def test_a_layer_short_of_elements_is_a_difference_though_every_tensor_arrived():
    short = report(*SENT.tensors, unfilled=("qkv: 8 of 12 elements loaded",))
    assert differences(SENT, short) == ["engine-0 worker 1: qkv: 8 of 12 elements loaded"]


def test_a_report_is_rebuilt_from_plain_values():
    plain = {"rank": 1, "received": [["norm", [2], "bfloat16", 4, 0]], "unfilled": ["x"]}
    assert LoadReport.of("engine-0", plain) == report(NORM, unfilled=("x",))
