"""Which samples there are: by version, by reason, by prompt, by draw; and their pages."""

from dataclasses import replace

import pytest

from toolrl.errors import ConfigError
from toolrl.pipelines.review import samples_page
from toolrl.pipelines.review.samples import VersionSummary, by_reason, named, of_version, sample_of, versions, what_exists
from toolrl.pipelines.review.stored import open_run


@pytest.mark.parametrize(
    ("name", "numbers"), [("37.2", (37, 2)), ("0.0", (0, 0)), ("37", None), ("37.2.1", None), ("-1.2", None), ("", None)]
)
def test_a_sample_is_named_by_draw_and_number(name, numbers):
    assert sample_of(name) == numbers


def test_versions_with_their_draws_and_right_samples(make_run):
    assert versions(open_run(make_run())) == [VersionSummary(1, 0, 1, 8, 2), VersionSummary(2, 8, 8, 4, 1)]


def test_samples_of_a_version_by_reason_the_most_frequent_first(make_run):
    found = by_reason(of_version(open_run(make_run()), 1))
    assert {reason: [row["id"] for row in rows] for reason, rows in found.items()} == {
        "wrong_value": ["0.2", "1.0", "1.1", "1.2", "1.3"],
        "correct": ["0.0", "0.3"],
        "not_a_list": ["0.1"],
    }
    assert list(found) == ["wrong_value", "correct", "not_a_list"]


def test_a_prompt_has_the_samples_of_all_its_draws_and_a_draw_its_own(make_run):
    run = open_run(make_run())
    assert [row["id"] for row in named(run, "weather")] == [f"{draw}.{i}" for draw in (0, 1) for i in range(4)]
    assert [row["id"] for row in named(run, "8")] == ["8.0", "8.1", "8.2", "8.3"]


def test_a_number_that_is_a_prompt_s_id_is_the_prompt(make_run, weather):
    run = open_run(make_run([(1, 5, replace(weather.prompt, id="8"), weather.groups[0][3]), (1, 8, weather.prompt, weather.groups[0][3])]))
    assert {row["draw"] for row in named(run, "8")} == {5}


def test_a_number_that_is_the_id_of_a_prompt_not_drawn_yet_is_the_draw(make_run, weather):
    late = (2, 9, replace(weather.prompt, id="5"), weather.groups[0][3])
    run = make_run([(1, 5, weather.prompt, weather.groups[0][3]), late])
    (run / "rollouts" / "version-000002.parquet").unlink()
    assert {row["prompt_id"] for row in named(open_run(run), "5")} == {"weather"}


def test_what_is_not_there_is_answered_with_what_is(make_run, weather):
    run = open_run(make_run())
    exists = "it has the draws 0 to 8 in the versions 1 to 2, each with the samples 0 to 3"
    assert what_exists(run) == exists
    with pytest.raises(ConfigError, match=f"no sample, prompt or draw 'x' in .*; {exists}"):
        named(run, "x")
    with pytest.raises(ConfigError, match="it has the versions 1 to 2"):
        of_version(run, 3)


def test_a_prompt_that_was_not_drawn_yet_is_said_to_be_so(make_run):
    run = make_run()
    for path in (run / "rollouts").glob("*-000002.parquet"):
        path.unlink()
    with pytest.raises(ConfigError, match="the prompt 'small talk' was not drawn yet"):
        named(open_run(run), "small talk")


def test_the_overview_shows_the_first_and_the_last_version_and_wrong_samples(make_run, tmp_path):
    run = open_run(make_run())
    page = samples_page.overview(run.path, versions(run), of_version(run, 2), 100)
    assert "2 versions, 12 completions, 3 right (25.0%)" in page
    assert "        1    0–1            8  25.0%" in page
    assert "  2  unexpected_call  8.1, 8.2" in page
    assert page.endswith(f"look at one: toolrl explain {run.path} --sample 8.1")
    many = [VersionSummary(v, v, v, 8, 4) for v in range(1, 1001)]
    page = samples_page.overview(tmp_path, many, of_version(run, 2), 80)
    rows = [line.split()[0] for line in page.split("\n\n")[1].splitlines()[1:]]
    assert (rows[0], rows[-2], rows[-1], len(rows)) == ("1", "1000", str(samples_page.VERSIONS), samples_page.VERSIONS + 1)


def test_the_page_of_a_prompt_has_a_line_for_each_sample(make_run):
    run = open_run(make_run())
    page = samples_page.of_name(run.path, "weather", named(run, "weather"), 100)
    assert page.startswith("weather: 8 samples, 2 right\n")
    assert "  0.2           1       0     -0.866  wrong_value at [0].arguments.city" in page  # 1 0 0 1: (0 - 1/2) / √(1/3)
    assert "8: 4 samples, 1 right, of the prompt small talk" in samples_page.of_name(run.path, "8", named(run, "8"), 100)
    long = samples_page.of_name(run.path, "weather", named(run, "weather") * 10, 100)
    assert f"the first {80 - samples_page.SAMPLES} are not shown" in long
