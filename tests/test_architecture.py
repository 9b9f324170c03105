"""The shape of the package, checked: who may import whom, which package is the door of which dependency, how big a file may grow."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "toolrl"

LAYERS = (  # a package may import only from the lines above its own
    {"errors", "types"},
    {"protocols", "config"},
    {"calls", "algo", "monitor", "weights"},
    {"data", "reward", "rollout", "learner", "checkpoint", "plan"},
    {"controller", "evaluation"},
    {"actors", "serving", "testing"},
    {"pipelines"},
    {"cli"},
    {"__main__"},
)
DOORS = {  # the only places that may name a heavy dependency
    "ray": {"actors", "pipelines"},
    "vllm": {"rollout", "weights", "serving"},
    "deepspeed": {"learner", "weights"},
    "torch": {"algo", "learner", "weights", "rollout", "checkpoint", "actors", "testing", "data/tokenizer.py"},
    "transformers": {"data/tokenizer.py", "learner", "checkpoint", "testing"},
    "peft": {"learner/lora.py"},
    "tokenizers": {"data/tokenizer.py", "testing"},
    "wandb": {"monitor/wandb_sink.py"},
    "tensorboard": {"monitor/tensorboard_sink.py"},
    "flash_attn": {"learner/attention.py"},
    "liger_kernel": {"learner/kernels.py"},
    "matplotlib": {"monitor/plot.py"},
    "plotext": {"pipelines/watching/plots.py"},
    "datasets": {"data/origin.py"},
    "openai": {"rollout/endpoint.py"},
    "httpx2": {"rollout/endpoint.py"},
    "starlette": {"serving/site.py"},
    "uvicorn": {"serving/site.py"},
    "bfcl_eval": {"evaluation/bfcl/foreign"},
}
FOREIGN = ROOT / "evaluation" / "bfcl" / "foreign"  # scripts for the interpreter of another environment
MAX_LINES = 300
FILES = sorted(p for p in ROOT.rglob("*.py"))
EVERY_FILE = pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())


def layer(package: str) -> int:
    """Line of LAYERS that a package stands on."""
    return next(i for i, names in enumerate(LAYERS) if package in names)


def package_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(file: Path) -> set[str]:
    """Every module a file imports, those inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.add(str(node.module))
    return found


@EVERY_FILE
def test_imports_point_down(file):
    package = package_of(file)
    if package == "__init__":
        return
    for name in imports(file):
        if name.startswith("toolrl."):
            other = name.split(".")[1]
            assert other == package or layer(other) < layer(package), f"{package} must not import {other}"


@EVERY_FILE
def test_heavy_dependencies_use_their_door(file):
    path = file.relative_to(ROOT).as_posix()
    for name in imports(file):
        doors = DOORS.get(name.split(".")[0])
        assert doors is None or any(path == d or path.startswith(d + "/") for d in doors), f"{path} imports {name}"


@EVERY_FILE
def test_files_stay_small(file):
    assert len(file.read_text().splitlines()) <= MAX_LINES


@EVERY_FILE
def test_every_file_opens_with_its_promise(file):
    assert ast.get_docstring(ast.parse(file.read_text())), "the first line of a file says what it is for"


def test_foreign_scripts_and_the_package_do_not_import_each_other():
    scripts = [file for file in FILES if file.is_relative_to(FOREIGN)]
    assert scripts
    assert not (FOREIGN / "__init__.py").exists()
    assert not [name for file in scripts for name in imports(file) if name.startswith("toolrl")]
    assert not [file for file in FILES for name in imports(file) if name.startswith("toolrl.evaluation.bfcl.foreign")]


def test_no_module_cycles():
    graph = defaultdict(set)
    for file in FILES:
        module = "toolrl." + ".".join(file.relative_to(ROOT).with_suffix("").parts)
        graph[module.removesuffix(".__init__")] |= {n for n in imports(file) if n.startswith("toolrl.")}
    done, path = set(), []

    def visit(module):
        assert module not in path, f"cycle: {' -> '.join([*path, module])}"
        if module not in done:
            path.append(module)
            for other in graph.get(module, ()):
                visit(other)
            done.add(path.pop())

    for module in list(graph):
        visit(module)


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("toolrl.cli.main", {"torch", "ray", "vllm", "deepspeed", "transformers", "omegaconf", "numpy"}),
        ("toolrl.types", {"torch", "ray", "omegaconf"}),
        ("toolrl.config.load", {"torch", "ray", "transformers"}),
        ("toolrl.pipelines.plan", {"torch", "ray", "vllm", "deepspeed", "transformers", "pandas"}),
        ("toolrl.controller.loop", {"torch", "ray", "vllm", "deepspeed", "transformers"}),
    ],
)
def test_starts_without(module, forbidden):
    code = f"import sys, {module}; print([m for m in {sorted(forbidden)!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
