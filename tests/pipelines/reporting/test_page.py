"""The page is one file that loads nothing, runs its own script only, and says how much of a run it holds."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import pytest

from toolrl.pipelines.reporting import page
from toolrl.pipelines.reporting.groups import index_of
from toolrl.pipelines.reporting.page import carry, render
from toolrl.pipelines.reporting.record import read_records
from toolrl.types import Message

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7 * 7 }}"


def made(*runs, most=100):
    records = read_records(runs)
    indexes = [index_of(record) for record in records]
    return render(records, indexes, carry(records, indexes, most))


def test_nothing_of_the_data_is_markup(with_metrics, weather):
    prompt = replace(weather.prompt, id=HOSTILE, messages=(Message("user", HOSTILE),))
    attempts = ({"attempt": 1, "started": HOSTILE, "changed": {}}, {"attempt": 2, "changed": {HOSTILE: {"from": HOSTILE, "to": 1}}})
    html = made(with_metrics(groups=[(1, 0, prompt, (HOSTILE, weather.texts.right))], attempts=attempts))
    assert "alert(" not in html.replace("&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;", "")
    assert "&amp;{{ 7 * 7 }}" in html


def test_the_policy_names_the_one_script_and_the_one_style_and_nothing_is_loaded(with_metrics):
    html = made(with_metrics())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    for kind in ("script", "style"):
        (text,) = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
        assert f"{kind}-src &#39;sha256-{b64encode(sha256(text.encode()).digest()).decode()}&#39;" in policy
    assert policy.startswith("default-src &#39;none&#39;")
    assert "connect-src &#39;none&#39;" in policy
    assert "unsafe" not in policy
    assert not re.findall(r'(?:src|href)="(?!#|data:,)[^"]*"', html)
    assert not re.findall(r' on\w+="| style="', html)


def test_what_does_not_fit_is_left_out_and_that_is_said(with_metrics, weather, monkeypatch):
    groups = [(1, draw, weather.prompt, (f"{weather.texts.wrong} {draw**9}",) * 2) for draw in range(40)]
    run = with_metrics(groups=groups)
    assert "all 40 groups of the run, 80 completions." in made(run)
    assert "10 of 40 groups are on this page" in made(run, most=10)
    monkeypatch.setattr(page, "GROUPS_BYTES", 2000)
    records = read_records([run])
    indexes = [index_of(record) for record in records]
    carried = carry(records, indexes, 40)
    assert 1 <= len(carried[0].rows) < 40
    assert carried[0].num_bytes <= 2000
    assert f"{len(carried[0].rows)} of 40 groups are on this page (0.0 MiB of at most 0). Chosen:" in render(records, indexes, carried)


def test_several_runs_share_the_room(with_metrics, weather):
    groups = [(1, draw, weather.prompt, (weather.texts.wrong,)) for draw in range(40)]
    records = read_records([with_metrics(groups=groups, name="one"), with_metrics(groups=groups, name="two")])
    carried = carry(records, [index_of(record) for record in records], 20)
    assert [len(each.rows) for each in carried.values()] == [10, 10]
    assert {row["drawn"] for each in carried.values() for row in each.rows} == {40}


def test_what_was_discarded_is_said(with_metrics):
    run = with_metrics()
    (run / "discarded" / "attempt-1").mkdir(parents=True)
    (run / "discarded" / "attempt-1" / "metrics.jsonl").write_text('{"version": 3}\n{"version": 4}\n')
    assert "2 versions (3 to 4) that attempt 1 or one before it had made were discarded" in made(run)


@pytest.mark.parametrize("keep", ["no_tokens", "share"])
def test_a_run_that_kept_less_has_a_page(with_metrics, keep):
    assert "all 3 groups of the run, 12 completions." in made(with_metrics(keep=keep))


@pytest.mark.parametrize(
    ("name", "digest"),
    [("uPlot.iife.min.js", "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"),
     ("uPlot.min.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04")],
)  # fmt: skip
def test_the_plotting_library_is_the_one_that_was_published(name, digest):
    """By `npm pack uplot@1.6.32`, package/dist."""
    assert sha256(page._asset(f"vendor/{name}").encode()).hexdigest() == digest
