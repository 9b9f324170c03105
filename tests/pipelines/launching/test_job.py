"""What is checked before a job waits in a queue."""

import pytest

from toolrl.errors import ConfigError, RunFolderError
from toolrl.pipelines.launching.job import Order, checked, own_files


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    """Temporary folders of a test are on a file system that every node sees."""
    monkeypatch.setattr("toolrl.pipelines.launching.job.private_folders", lambda folders: ([], []))


def order(*settings, **options):
    return Order(("conf/demo.yaml", *settings), **options)


def test_a_job_has_the_name_of_its_run_and_time_to_save(tmp_path):
    job = checked(order(f"run.dir={tmp_path}/my run.2", "checkpoint.preempt_timeout_s=100", time="1-00"))
    assert (job.name, job.stop_s, job.limit_s) == ("my-run-2", 160, 86400)
    assert job.files == ("conf/demo.yaml",)


def test_a_time_limit_without_time_to_train_is_refused(tmp_path):
    # saving takes up to 300 + 60 s, starting 300 s
    assert checked(order(f"run.dir={tmp_path}/a", time="11")).limit_s == 660
    with pytest.raises(ConfigError, match=r"--time: got 00:10:59, with the last 360 s for saving .*; give at least 00:11:00"):
        checked(order(f"run.dir={tmp_path}/a", time="10:59"))


def test_a_folder_of_another_run_is_refused_before_anything_waits(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunFolderError, match="holds no run"):
        checked(order(f"run.dir={tmp_path}"))


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match=r"did you mean 'run.steps'"):
        checked(order("run.step=3"))


def test_a_supervised_run_without_engines_asks_for_its_ranks_alone(tmp_path):
    job = checked(Order(("conf/demo_sft.yaml", "eval.heldout=", f"run.dir={tmp_path}/a"), command="sft"))
    assert {role for bundle in job.machines.placement.bundles for role in bundle.roles} == {"learner-0"}


def test_gpus_over_several_nodes_want_a_preset(tmp_path):
    gpus = ("cluster.device=cuda", "weights.backend=nccl", f"run.dir={tmp_path}/a")
    (remark,) = checked(order(*gpus, nodes=2)).remarks
    assert remark.startswith("no --network")
    job = checked(order(*gpus, nodes=2, network="roce"))
    assert job.remarks == ()
    assert job.network["NCCL_IB_TC"] == "106"


def test_a_file_that_ships_is_not_ones_own(tmp_path):
    mine = tmp_path / "demo.yaml"
    mine.write_text("run: { steps: 7 }\n")
    job = checked(order(str(mine), f"run.dir={tmp_path}/a"))
    assert own_files(job) == [mine]
