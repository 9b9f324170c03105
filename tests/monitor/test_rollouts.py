"""rollouts/ holds every completion once, whole files only, and no more in memory than a few groups."""

import asyncio

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolrl.algo.advantage import trajectories
from toolrl.config.learning import AlgoConfig
from toolrl.errors import RunFolderError
from toolrl.monitor.outcomes import Entry, Outcome, entries_of
from toolrl.monitor.rollouts import GROUPS_AT_A_TIME, SCHEMA, RolloutWriter, files, find, read, stream
from toolrl.testing.fakes import World, as_trained
from toolrl.types import Batch, Completion, Draw, Group, Prompt, Reason, Sampling, ScoredGroup, Verdict, VersionSpan

ALGO = AlgoConfig(advantage_eps=0.0)


async def identity(handles):
    return handles


def writer(folder, *, keep="all", fetch=identity, attempt=1):
    return RolloutWriter(folder, keep=keep, fetch=fetch, attempt=attempt)


def hand_made(number, verdicts, text="<think>é</think>"):
    completions = tuple(
        Completion(
            token_ids=np.array([5, 6, 7], np.int32),
            logprobs=np.array([-0.5, -0.25, 0.0], np.float32),
            loss_mask=np.ones(3, np.bool_),
            text=text,
            finish_reason="stop",
            seed=2**62 + i,
            spans=(VersionSpan(3, 0, 2), VersionSpan(4, 2, 3)),
        )
        for i in range(len(verdicts))
    )
    group = Group(Draw(number, Prompt(f"p{number}", "s", (), (), ()), np.array([1, 2], np.int32), 2**62), completions)
    return ScoredGroup(group.ref(group, engine="e0", sample_s=0.5), tuple(verdicts))


RIGHT = Verdict(1.0, Reason.CORRECT, format_right=True, content_right=True)
WRONG = Verdict(0.0, Reason.WRONG_VALUE, "[0].arguments.city", "Rome", "Oslo", format_right=True)
FAILED = Verdict(None, Reason.VERIFIER_ERROR)


def two_groups():
    """Draw 9 is trained, draw 8 was replaced."""
    return Batch(4, trajectories(ALGO, [hand_made(9, [RIGHT, WRONG, FAILED])], 0), (hand_made(8, [WRONG, WRONG, WRONG]),))


def test_a_row_says_everything_about_its_completion(tmp_path):
    asyncio.run(writer(tmp_path, attempt=2).write(two_groups(), as_trained(two_groups())))
    table = pq.read_table(tmp_path / "version-000005.parquet")
    assert table.schema == SCHEMA
    rows = table.to_pylist()
    assert [(row["draw"], row["sample"], row["trained"]) for row in rows] == [(d, i, d == 9) for d in (8, 9) for i in range(3)]
    half = 0.5**0.5  # rewards 1 and 0: mean 1/2, standard deviation over n - 1 is √(1/2)
    assert [row["advantage"] for row in rows] == [None, None, None, pytest.approx(half), pytest.approx(-half), 0.0]
    assert rows[4] == {
        "version": 5,
        "draw": 9,
        "sample": 1,
        "attempt": 2,
        "trained": True,
        "outcome": "trained",
        "outcome_reason": None,
        "prompt_id": "p9",
        "engine": "e0",
        "reward": 0.0,
        "reason": "wrong_value",
        "path": "[0].arguments.city",
        "expected": "Rome",
        "got": "Oslo",
        "format_right": True,
        "content_right": False,
        "bfcl_right": None,
        "loss_share": 0.25,
        "advantage": pytest.approx(-half),
        "num_tokens": 3,
        "finish_reason": "stop",
        "oldest_version": 3,
        "seed": 2**62 + 1,
        "spans": [{"version": 3, "start": 0, "end": 2}, {"version": 4, "start": 2, "end": 3}],
        "text": "<think>é</think>",
        "tokens": [5, 6, 7],
        "logprobs": [-0.5, -0.25, 0.0],
    }
    assert rows[5]["reward"] is None
    assert pq.ParquetFile(tmp_path / "version-000005.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_each_row_says_how_its_draw_ended(tmp_path):
    barred = Verdict(None, "quarantined")
    batch = Batch(
        4, trajectories(ALGO, [hand_made(6, [barred, barred]), hand_made(7, [RIGHT, WRONG]), hand_made(8, [barred, RIGHT])], 0),
        (hand_made(5, [WRONG, WRONG]), hand_made(4, [barred, barred])),
    )  # fmt: skip
    entries = [Entry(hand_made(3, [RIGHT, WRONG]), Outcome.DISCARDED, "loss not finite"), *entries_of(batch)]
    asyncio.run(writer(tmp_path).write_entries(5, entries, as_trained(batch)))
    rows = [row for row in read(tmp_path).to_pylist() if row["sample"] == 0]
    assert [(row["draw"], row["outcome"], row["outcome_reason"], row["trained"]) for row in rows] == [
        (3, "discarded", "loss not finite", False),
        (4, "quarantined", None, False),  # replaced
        (5, "dull", None, False),
        (6, "quarantined", None, True),  # left in its batch, with advantage 0
        (7, "trained", None, True),
        (8, "trained", None, True),  # one verdict is no quarantine
    ]


def test_without_tokens_texts_and_verdicts_stay(tmp_path):
    asyncio.run(writer(tmp_path, keep="no_tokens").write(two_groups(), as_trained(two_groups())))
    row = read(tmp_path).to_pylist()[4]
    assert (row["tokens"], row["logprobs"]) == (None, None)
    assert (row["text"], row["reason"], row["num_tokens"]) == ("<think>é</think>", "wrong_value", 3)


def test_a_share_keeps_one_group_in_eight_whole_and_fetches_no_other(tmp_path):
    fetched = []

    async def fetch(handles):
        fetched.extend(group.draw.number for group in handles)
        return handles

    asyncio.run(writer(tmp_path, keep="share", fetch=fetch).write(two_groups(), as_trained(two_groups())))
    rows = read(tmp_path).to_pylist()
    assert fetched == [8]
    assert [row["text"] is None for row in rows] == [False] * 3 + [True] * 3
    assert [row["reason"] for row in rows] == ["wrong_value"] * 3 + ["correct", "wrong_value", "verifier_error"]


def test_only_a_few_groups_are_fetched_at_a_time(tmp_path):
    sizes = []

    async def fetch(handles):
        sizes.append(len(handles))
        return list(reversed(handles))  # the order of an answer is not relied upon

    batch = Batch(0, trajectories(ALGO, [hand_made(n, [RIGHT, WRONG]) for n in range(2 * GROUPS_AT_A_TIME + 5)], 0))
    asyncio.run(writer(tmp_path, fetch=fetch).write(batch, as_trained(batch)))
    assert sizes == [GROUPS_AT_A_TIME, GROUPS_AT_A_TIME, 5]
    assert read(tmp_path, ["draw"]).column("draw").to_pylist() == [n for n in range(2 * GROUPS_AT_A_TIME + 5) for _ in range(2)]


def test_text_that_is_not_unicode_is_kept_readable(tmp_path):
    batch = Batch(0, trajectories(ALGO, [hand_made(0, [RIGHT, WRONG], text="a\ud800b")], 0))
    asyncio.run(writer(tmp_path).write(batch, as_trained(batch)))
    assert read(tmp_path, ["text"]).column("text").to_pylist() == ["a\\ud800b"] * 2


@pytest.mark.parametrize("error", [OSError("object lost"), asyncio.CancelledError()])
def test_a_file_that_could_not_be_finished_is_not_there(tmp_path, error):
    calls = []

    async def fetch(handles):
        calls.append(len(handles))
        if len(calls) == 2:
            raise error
        return handles

    batch = Batch(0, trajectories(ALGO, [hand_made(n, [RIGHT, WRONG]) for n in range(GROUPS_AT_A_TIME + 1)], 0))
    with pytest.raises(type(error)):
        asyncio.run(writer(tmp_path, fetch=fetch).write(batch, as_trained(batch)))
    assert list(tmp_path.iterdir()) == []


def test_cancelling_in_the_middle_of_a_write_waits_for_the_disk(tmp_path):
    batch = Batch(0, trajectories(ALGO, [hand_made(n, [RIGHT, WRONG]) for n in range(3 * GROUPS_AT_A_TIME)], 0))

    async def cancelled_after(turns):
        task = asyncio.create_task(writer(tmp_path).write(batch, as_trained(batch)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for turns in range(1, 6):
        asyncio.run(cancelled_after(turns))
        assert [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_the_groups_of_the_engines_can_be_written(tmp_path):
    async def go():
        world = World()
        await world.weights.publish(0)
        refs = [await world.engines.sample(world.prompts.draw(n), Sampling(4, 1.0, 1.0, 3)) for n in range(3)]
        scored = [await world.scorer.score(ref) for ref in refs]
        batch = Batch(0, trajectories(ALGO, scored, 0))
        await writer(tmp_path).write(batch, as_trained(batch))

    asyncio.run(go())
    table = read(tmp_path, ["draw", "num_tokens", "tokens"])
    assert table.num_rows == 12
    assert [len(tokens) for tokens in table.column("tokens").to_pylist()] == table.column("num_tokens").to_pylist()


def test_files_are_read_in_the_order_of_their_versions_and_unfinished_ones_are_not(tmp_path):
    for version in (10, 9, 11):
        batch = Batch(version - 1, trajectories(ALGO, [hand_made(version, [RIGHT, WRONG])], 0))
        asyncio.run(writer(tmp_path).write(batch, as_trained(batch)))
    (tmp_path / ".version-000012.parquet.tmp").write_bytes(b"half")
    assert list(files(tmp_path)) == [9, 10, 11]
    assert read(tmp_path, ["version"]).column("version").to_pylist() == [9, 9, 10, 10, 11, 11]


def test_an_empty_folder_has_no_rows(tmp_path):
    assert read(tmp_path, ["reason"]).num_rows == 0
    assert isinstance(read(tmp_path), pa.Table)


def three_versions(folder):
    for version in (1, 2, 3):
        batch = Batch(version - 1, trajectories(ALGO, [hand_made(n, [RIGHT, WRONG]) for n in (2 * version, 2 * version + 1)], 0))
        asyncio.run(writer(folder).write(batch, as_trained(batch)))


def test_versions_are_streamed_one_at_a_time(tmp_path):
    three_versions(tmp_path)
    versions = stream(tmp_path, ["draw", "sample"])
    assert next(versions)[0] == 1
    (tmp_path / "version-000003.parquet").unlink()  # not opened yet
    with pytest.raises(RunFolderError, match="version-000003"):
        [(version, table.column("draw").to_pylist()) for version, table in versions]


def test_a_draw_is_found_whichever_version_trained_it(tmp_path):
    three_versions(tmp_path)
    rows = find(tmp_path, 5, ["version", "draw", "sample", "reason"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(2, 5, 0, "correct"), (2, 5, 1, "wrong_value")]
    assert find(tmp_path, 8, ["draw", "text"]).num_rows == 0


def test_a_file_that_no_run_wrote_is_refused_in_one_message(tmp_path):
    three_versions(tmp_path)
    for name in ("version-000001 (copy).parquet", "version-000001.parquet.old.parquet"):  # no names of ours: not read at all
        (tmp_path / name).write_bytes(b"")
    assert list(files(tmp_path)) == [1, 2, 3]
    pq.write_table(pa.table({"draw": [1]}), tmp_path / "version-000002.parquet")
    with pytest.raises(RunFolderError, match=r"version-000002\.parquet: no column sample, text"):
        find(tmp_path, 5, ["draw", "sample", "text"])
    rows = pq.read_table(tmp_path / "version-000003.parquet")
    pq.write_table(rows.set_column(0, "version", rows.column("version").cast("string")), tmp_path / "version-000003.parquet")
    with pytest.raises(RunFolderError, match=r"version-000003\.parquet: no column version"):  # one of another type
        list(stream(tmp_path, ["version"], (3,)))
    whole = (tmp_path / "version-000001.parquet").read_bytes()
    (tmp_path / "version-000001.parquet").write_bytes(b"PAR1" + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    with pytest.raises(RunFolderError, match=r"version-000001\.parquet: not a readable Parquet file"):  # its footer is whole
        list(stream(tmp_path, ["draw", "text"], (1,)))
    (tmp_path / "version-000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunFolderError, match="not a readable Parquet file"):
        read(tmp_path, ["draw"])
