"""Replies on disk: all there after a kill, none twice, and never mixed with those to another question."""

import json
import os
import subprocess
import sys

import pytest

from toolrl.errors import RunFolderError
from toolrl.rollout.journal import Journal, asked_in
from toolrl.rollout.replies import Reply

ASKED = {"model": "m", "temperature": 0.7}
WHOLE = '{"id": "b", "sample": 0, "text": "b", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 2}'
REPLY = Reply("<think>\nhm … 天\n</think>", "stop", 90, 31)


def write(path, *keys):
    with Journal(path, ASKED) as journal:
        for key in keys:
            journal.add(key, REPLY)


def test_replies_come_back_in_their_order(tmp_path):
    write(tmp_path / "j", ("b", 0), ("a", 1))
    with Journal(tmp_path / "j", ASKED) as journal:
        assert dict(journal) == {("b", 0): REPLY, ("a", 1): REPLY}
        assert list(journal) == [("b", 0), ("a", 1)]


@pytest.mark.parametrize("cut", range(1, 110, 9))
def test_a_torn_last_line_is_asked_again_and_nothing_is_joined_to_it(tmp_path, cut):
    path = tmp_path / "j"
    write(path, ("a", 0), ("b", 0))
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, ASKED) as journal:
        assert list(journal) == [("a", 0)]
        journal.add(("c", 0), REPLY)
    assert [json.loads(line).get("id") for line in path.read_text().splitlines()] == [None, "a", "c"]


def test_a_torn_first_line_is_written_anew(tmp_path):
    path = tmp_path / "j"
    path.write_text('{"asked": {"mod')
    write(path, ("a", 0))
    assert len(path.read_text().splitlines()) == 2


def test_a_key_is_never_answered_twice(tmp_path):
    with Journal(tmp_path / "j", ASKED) as journal:
        journal.add(("a", 0), REPLY)
        with pytest.raises(ValueError, match="answered already"):
            journal.add(("a", 0), REPLY)


def test_another_question_is_refused_with_the_difference_and_the_file_left_as_it_was(tmp_path):
    path = tmp_path / "j"
    write(path, ("a", 0))
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match=r"temperature: it has 0\.7, asked is 1\.0"):
        Journal(path, ASKED | {"temperature": 1.0})
    assert path.read_bytes() == before


def test_of_long_texts_the_place_where_they_part_is_shown(tmp_path):
    Journal(tmp_path / "j", {"template": "x" * 500 + "old"}).close()
    with pytest.raises(RunFolderError, match="it has '…xxxxxxxxold', asked is '…xxxxxxxxnew'"):
        Journal(tmp_path / "j", {"template": "x" * 500 + "new"})


@pytest.mark.parametrize("content", [b"hello\n", b"hello", b"[1]\n", b'{"asked": {}}\n{"id": 3}\n', b"\xff\xfe\n", b"\xff"])
def test_a_file_that_is_no_journal_is_refused(tmp_path, content):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(RunFolderError, match="not a journal of replies"):
        Journal(tmp_path / "j", {})
    assert (tmp_path / "j").read_bytes() == content


def test_two_processes_do_not_write_one_journal(tmp_path):
    with Journal(tmp_path / "j", ASKED), pytest.raises(RunFolderError, match="another process writes it"):
        Journal(tmp_path / "j", ASKED)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(RunFolderError, match="cannot be written"):
        Journal(tmp_path / "no" / "j", ASKED)


def test_what_a_journal_answers_can_be_read_while_another_process_has_it(tmp_path):
    assert asked_in(tmp_path / "j") == {}
    with Journal(tmp_path / "j", ASKED):
        assert asked_in(tmp_path / "j") == ASKED
    (tmp_path / "j").write_bytes(b"\xff[")
    assert asked_in(tmp_path / "j") == {}


WRITER = """
import sys
from pathlib import Path
from toolrl.rollout.journal import Journal
from toolrl.rollout.replies import Reply

with Journal(Path(sys.argv[1]), {"model": "m", "temperature": 0.7}) as journal:
    for number in range(len(journal), 10**9):
        journal.add((f"p{number}", 0), Reply("x" * (number % 5000), "stop", 1, number))
        print(number, flush=True)
"""


def test_whatever_was_kept_before_a_kill_is_there_and_the_file_is_free_again(tmp_path):
    path, kept = tmp_path / "j", 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            told = [writer.stdout.readline() for _ in range(200)]
            with pytest.raises(RunFolderError, match="another process writes it"):
                Journal(path, ASKED)
            writer.kill()
            told += writer.stdout.read().splitlines()
        assert int(told[0]) == kept
        with Journal(path, ASKED) as journal:
            last = int([line for line in told if line.strip()][-1])
            assert list(journal)[: last + 1] == [(f"p{number}", 0) for number in range(last + 1)]
            assert all(len(reply.text) == reply.completion_tokens % 5000 for reply in journal.values())
            kept = len(journal)


@pytest.mark.parametrize("place", ["pipe", "link"])
def test_what_is_no_file_is_not_waited_for_and_a_link_to_nothing_is_not_followed(tmp_path, place):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nothing")
    assert asked_in(tmp_path / place) == {}
    with pytest.raises(RunFolderError, match=f"{place}: not a file; remove it"):
        Journal(tmp_path / place, ASKED)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("line", ['{"id": 3, "sample": 0}', "[1]", "[" * 20_000, WHOLE.replace('"b"', "7"), WHOLE[:-1] + ', "x": 1}'])
def test_a_line_that_no_journal_wrote_is_refused_in_a_short_message(tmp_path, line):
    with Journal(tmp_path / "j", ASKED) as journal:
        journal.add(("a", 0), Reply("b", "stop", 1, 2))
    (tmp_path / "j").write_text((tmp_path / "j").read_text() + line + "\n")
    with pytest.raises(RunFolderError, match=r"j: not a journal of replies .*; remove it") as caught:
        Journal(tmp_path / "j", ASKED)
    assert len(str(caught.value)) < 600
