"""Which folders every node sees, by a table of mounts."""

from pathlib import Path

from toolrl.pipelines.launching.folders import file_system, private_folders

MOUNTS = """\
tmpfs /dev/shm tmpfs rw 0 0
tmpfs /mnt/fast tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
fs@tcp:/scratch /scratch lustre rw 0 0
/dev/vdb /home/local xfs rw 0 0
srv:/a /mnt/two\\040words nfs rw 0 0
/dev/vda / ext4 rw 0 0
"""


def test_the_deepest_mount_counts():
    where = {
        path: file_system(Path(path), MOUNTS.splitlines()) for path in ("/home/me/run", "/home/local/run", "/data", "/mnt/two words/x")
    }
    assert where == {"/home/me/run": "nfs4", "/home/local/run": "xfs", "/data": "ext4", "/mnt/two words/x": "nfs"}


def test_a_shared_folder_is_in_order():
    assert private_folders({"run.dir": Path("/home/me/run"), "data.train": Path("/scratch/data")}, MOUNTS) == ([], [])


def test_a_link_is_where_it_leads_to(tmp_path):
    (tmp_path / "runs").symlink_to("/dev/shm")
    wrong, _ = private_folders({"run.dir": tmp_path / "runs" / "a", "data.train": Path("/home/me/../../dev/shm/b")}, MOUNTS)
    assert [line.partition(",")[0] for line in wrong] == [f"run.dir: got {tmp_path}/runs/a", "data.train: got /home/me/../../dev/shm/b"]


def test_memory_and_temporary_folders_are_refused_and_a_disk_is_remarked_on():
    wrong, remarks = private_folders(
        {"run.dir": Path("/mnt/fast/run"), "data.train": Path("/tmp/data"), "model.path": Path("/opt/model")}, MOUNTS
    )
    assert [line.partition(",")[0] for line in wrong] == ["run.dir: got /mnt/fast/run", "data.train: got /tmp/data"]
    assert [line.partition(" is on")[0] for line in remarks] == ["model.path: /opt/model"]
    assert "(ext4)" in remarks[0]
