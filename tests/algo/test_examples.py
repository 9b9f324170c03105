"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import toolrl.algo

FOLDER = Path(toolrl.algo.__file__).parent
MODULES = sorted("toolrl.algo." + ".".join(file.relative_to(FOLDER).with_suffix("").parts) for file in FOLDER.rglob("[!_]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_docstring_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
