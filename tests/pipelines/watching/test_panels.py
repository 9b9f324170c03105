"""Every curve is of a metric that there is."""

import pytest

from toolrl.monitor.metrics import describe
from toolrl.pipelines.watching.panels import PANELS, metrics_of


@pytest.mark.parametrize("kind", PANELS)
def test_every_metric_is_in_the_table_of_metrics(kind):
    assert [name for name in metrics_of(kind) if describe(name) is None] == []


@pytest.mark.parametrize("kind", PANELS)
def test_the_curves_of_a_panel_differ_in_colour(kind):
    for panel in PANELS[kind]:
        assert len({curve.colour for curve in panel.curves}) == len(panel.curves)
