"""What a run ran on."""

import subprocess
import sys

from toolrl.monitor.environment import git_commit, versions


def test_versions_of_python_and_packages_are_named():
    found = versions()
    assert found["python"] == sys.version.split()[0]
    assert found["packages"]["numpy"]
    assert found["platform"]


def test_a_source_without_git_has_no_commit(tmp_path):
    assert git_commit(tmp_path) is None


def test_an_edited_source_is_marked(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "a")
    commit = git("rev-parse", "HEAD")
    assert git_commit(tmp_path) == commit
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path) == commit + "+changes"
