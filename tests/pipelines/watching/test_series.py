"""A curve of any length in 512 points."""

from toolrl.pipelines.watching import series as series_module
from toolrl.pipelines.watching.series import MOST, Series


def test_neighbours_become_their_mean_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(series_module, "MOST", 4)
    series = Series()
    for version, value in enumerate([0.0, 2.0, 4.0, 6.0, 10.0, 20.0, 30.0]):
        series.add(version, value)
    # (0, 2) (4, 6) joined when the fifth came; from then on two to a point
    assert (series.versions, series.values) == ([0.5, 2.5, 4.5, 6.0], [1.0, 5.0, 15.0, 30.0])
    assert (series.last, series.every) == (30.0, 2)


def test_a_point_is_the_mean_of_all_its_values_however_often_points_were_joined():
    series = Series()
    for version in range(10_000):
        series.add(version, float(version % 2))
    assert len(series.values) <= MOST
    assert series.every == 32
    assert set(series.values[:-1]) == {0.5}
    assert series.versions[0] == 15.5  # of 0 to 31
