"""Whatever file of a run is broken, and however: the doctor names it, looks at the rest, and never fails itself."""

import io
import json
import shutil
import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "mutations"))
from mutator.mutations import mutations_of
from planted_runs import dead

from toolrl.errors import PreemptedError, ToolRLError
from toolrl.pipelines.doctor import doctor

CHECKPOINT = "checkpoints/version-00000003"
RECORDS = ("status.json", "versions.json", "left_out.json", "config.yaml", "metrics.jsonl")
FILES = (*RECORDS, f"{CHECKPOINT}/COMPLETE", f"{CHECKPOINT}/state.json")
NO_RUN_OF_IT = {
    "status.json": {"gone": "a run of an older version of toolrl has none"},
    "metrics.jsonl": {"gone": "a run that has trained nothing has none", "empty": "as gone", "blank": "as gone"},
    "left_out.json": {"gone": "a run that left out nothing has none"},
    "config.yaml": {"*": "it is read when the run is gone on with"},
    f"{CHECKPOINT}/COMPLETE": {"*": "a checkpoint without a readable mark is none"},
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    run = dead(tmp_path_factory.mktemp("sound") / "run", PreemptedError("saved"))
    (run / "left_out.json").write_text('{"7": "not finite"}')
    return run


def diagnosed(run):
    """Exit code and report of the command, or its one message."""
    out = io.StringIO()
    try:
        code = doctor(run, "", json_wanted=True, width=80, out=out, say=lambda progress: None)
    except ToolRLError as error:
        return error.exit_code, str(error)
    json.loads(out.getvalue())
    return code, out.getvalue()


@pytest.mark.parametrize("file", FILES)
def test_a_broken_file_is_named_and_the_rest_is_looked_at(sound, tmp_path, file):
    excused = NO_RUN_OF_IT.get(file, {})
    for mutation in mutations_of(file):
        run = tmp_path / mutation.name.replace("/", " ")
        shutil.copytree(sound, run)
        mutation.apply(run / file, Random(mutation.name))
        code, said = diagnosed(run)
        assert code in (1, 2), (mutation.name, said)
        if mutation.certain and mutation.name not in excused and "*" not in excused:
            assert Path(file).name in said, (mutation.name, said)
        shutil.rmtree(run)
