"""A folder that is no run is refused in one message that says what to give."""

import pytest

from toolrl.errors import RunFolderError
from toolrl.pipelines.review.stored import open_run


def test_a_run_is_opened_with_its_settings_versions_and_prompts(make_run, weather):
    run = open_run(make_run())
    assert (run.config.reward.mode, run.versions, list(run.prompts)) == ("strict", [1, 2], ["weather", "small talk"])
    assert run.prompt("weather") == weather.prompt


def test_what_is_no_run_is_refused(tmp_path, make_run):
    with pytest.raises(RunFolderError, match="no such folder; give the"):
        open_run(tmp_path / "none")
    with pytest.raises(RunFolderError, match="holds no run"):
        open_run(tmp_path)
    run = make_run()
    for path in (run / "rollouts").iterdir():
        path.unlink()
    with pytest.raises(RunFolderError, match="no rollouts yet"):
        open_run(run)


def test_settings_that_cannot_be_read_are_named(make_run):
    run = make_run()
    (run / "config.yaml").write_text("reward: {mode: strict, colour: red}")
    with pytest.raises(RunFolderError, match=r"(?s)config\.yaml: not settings of .* put back the file .*unknown setting 'reward\.colour'"):
        open_run(run)


def test_a_row_of_an_unknown_prompt_is_named(make_run):
    with pytest.raises(RunFolderError, match="name the prompt 'gone', which its prompts"):
        open_run(make_run()).prompt("gone")
