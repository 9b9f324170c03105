"""The dashboard names what the table of metrics exports, and has the form that Grafana reads.

Grafana's form: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/, checked as far as it is said
there: a grid of 24 columns, ids and uid, rows, targets with a data source, variables and what they may have.
"""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from toolrl.monitor.exported import all_scraped, labels_of

CLUSTER = Path(__file__).parents[2] / "cluster"
DASHBOARD = json.loads((CLUSTER / "grafana" / "toolrl.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
FUNCTIONS = {"rate", "sum", "max", "avg", "by", "ignoring", "group_left", "histogram_quantile", "changes", "label_values", "le"}
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def queries():
    """Every query of the dashboard: of its panels, its variables and its annotations."""
    found = [target["expr"] for panel in PANELS for target in panel["targets"]]
    found += [each["query"]["query"] for each in VARIABLES.values() if each["type"] == "query"]
    return found + [each["expr"] for each in DASHBOARD["annotations"]["list"] if "expr" in each]


def names_in(query):
    """The names of metrics in a PromQL expression: what is left without matchers, ranges, groupings and functions."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|ignoring|on|without)\s*\([^)]*\)", " ", query)
    bare = re.sub(r",\s*\w+\s*\)$", ")", bare)  # the label that label_values asks for
    return set(NAME.findall(bare)) - FUNCTIONS


def labels_in(query):
    """The labels that an expression names, in matchers and in groupings."""
    matched = {label for part in re.findall(r"\{([^}]*)\}", query) for label in re.findall(r"(\w+)\s*[=!]", part)}
    grouped = {label for part in re.findall(r"\bby\s*\(([^)]*)\)", query) for label in NAME.findall(part)}
    asked = set(re.findall(r"label_values\(.*,\s*(\w+)\)$", query))
    return matched | grouped | asked


def test_every_metric_that_is_named_is_exported():
    named = {name for query in queries() for name in names_in(query)}
    assert len(named) > 50
    assert sorted(named - all_scraped().keys()) == []


def test_names_are_found_in_queries_and_nothing_else():
    query = 'sum by (cause) (ray_a{run=~"$run"}) / ignoring(cause) group_left sum(rate(ray_b_total{x="ray_c"}[$__rate_interval])) > 0'
    assert names_in(query) == {"ray_a", "ray_b_total"}
    assert labels_in(query) == {"run", "x", "cause"}
    assert names_in("label_values(ray_a, run)") == {"ray_a"}
    assert labels_in("label_values(ray_a, run)") == {"run"}


@pytest.mark.parametrize("query", queries())
def test_a_query_uses_labels_that_its_metrics_have_and_is_balanced(query):
    has = {label for name in names_in(query) for label in labels_of(all_scraped()[name])} | {"le"}
    assert labels_in(query) <= has
    assert query.count("(") == query.count(")")
    assert query.count("{") == query.count("}")


def test_every_query_is_of_the_chosen_runs():
    panels = [target["expr"] for panel in PANELS for target in panel["targets"]]
    assert all('run=~"$run"' in selector for query in panels for selector in re.findall(r"ray_\w+(\{[^}]*\})?", query))


def test_what_the_issue_asks_for_has_a_panel():
    named = {name for query in queries() for name in names_in(query)}
    wanted = """
        reward_mean heldout_reward reward_reason_ratio loop_staleness_max_versions engine_sampled_tokens_total engine_queued_sequences
        reward_scoring_seconds_bucket learner_computed_tokens_total learner_mfu_ratio weights_push_seconds weights_bytes
        weights_parity_max_abs_dlogp_nats waste_cause_accelerator_seconds actor_memory_bytes engine_restarts
    """
    assert {f"ray_toolrl_{name}" for name in wanted.split()} <= named


def test_the_grid_has_no_hole_a_panel_can_fall_into():
    ids = Counter(panel["id"] for panel in DASHBOARD["panels"])
    assert max(ids.values()) == 1
    assert all(isinstance(number, int) and number > 0 for number in ids)
    boxes = []
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at.keys() == {"h", "w", "x", "y"}
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24
        assert at["h"] > 0 <= at["y"]
        boxes.append((panel["title"], at["x"], at["x"] + at["w"], at["y"], at["y"] + at["h"]))
    for (one, left, right, top, bottom), (other, left2, right2, top2, bottom2) in combinations(boxes, 2):
        assert right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top, f"{one} and {other} overlap"


def test_a_dashboard_can_be_imported():
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", DASHBOARD["uid"])
    assert DASHBOARD["id"] is None  # Grafana gives it one
    assert DASHBOARD["title"]
    assert isinstance(DASHBOARD["schemaVersion"], int)
    assert {"panels", "templating", "time", "tags", "refresh", "annotations", "editable", "timezone"} <= DASHBOARD.keys()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel):
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert panel["type"] in {"timeseries", "stat"}
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == source
    assert [target["refId"] for target in panel["targets"]] == [chr(ord("A") + i) for i in range(len(panel["targets"]))]
    assert all(target["datasource"] == source and target["legendFormat"] for target in panel["targets"])
    assert panel["fieldConfig"]["defaults"]["unit"]
    legends = [target["legendFormat"] for target in panel["targets"]]
    assert len(set(legends)) == len(legends)


def test_variables_are_a_data_source_the_run_and_the_engine():
    assert list(VARIABLES) == ["datasource", "run", "engine"]
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"
    for name in ("run", "engine"):
        assert VARIABLES[name]["type"] == "query"
        assert VARIABLES[name]["multi"]
        assert VARIABLES[name]["includeAll"]
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) - {"__rate_interval", "__all"}
    assert used == set(VARIABLES)


def test_prometheus_keeps_what_the_dashboard_names():
    config = yaml.safe_load((CLUSTER / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    kept = next(rule["regex"] for rule in job["metric_relabel_configs"] if rule["action"] == "keep")
    dropped = next(rule["regex"] for rule in job["metric_relabel_configs"] if rule["action"] == "labeldrop")
    named = {name for query in queries() for name in names_in(query)}
    assert all(re.fullmatch(kept, name) for name in named)
    assert not [label for query in queries() for label in labels_in(query) if re.fullmatch(dropped, label)]
