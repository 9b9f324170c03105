import pytest
import torch
import torch.distributed as dist

from toolrl.learner.measure import Meter, Ranks


@pytest.fixture(autouse=True)
def group_of_one():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_sums_and_maxima_gather_over_micro_batches():
    meter = Meter(Ranks("cpu"))
    meter.add(tokens=2, loss=torch.tensor([1.0, 2.5]), clipped=torch.tensor([True, False]))
    meter.add(tokens=1, loss=torch.tensor([-1.0]), clipped=torch.tensor([True]))
    for ratios in ([1.0, 1.5], [], [0.5]):
        meter.raise_to("ratio", torch.tensor(ratios))
    found = meter.reduced()
    assert (found["tokens"], found["loss"], found["clipped"], found["max_ratio"]) == (3.0, 2.5, 2.0, 1.5)


def test_the_mismatch_with_the_engine_by_hand():
    meter = Meter(Ranks("cpu"))
    meter.engine_mismatch(torch.tensor([0.0, -1.0]), torch.tensor([0.0, -3.0]))  # d = 0 and 2
    found = meter.reduced()
    assert found["abs_dlogp"] == 2.0
    assert found["max_dlogp"] == 2.0
    assert found["k3_dlogp"] == pytest.approx(7.389056 - 2 - 1, abs=1e-5)
    assert found["weight"] == pytest.approx(1 + 7.389056, abs=1e-5)
    assert found["weight2"] == pytest.approx(1 + 54.59815, abs=1e-4)


def test_values_are_summed_in_double_precision():
    assert Ranks("cpu").summed([2.0**24, 1.0]) == [2.0**24, 1.0]
    meter = Meter(Ranks("cpu"))
    for _ in range(3):
        meter.add(tokens=2.0**24 + 1)
    assert meter.reduced()["tokens"] == 3 * (2.0**24 + 1)
