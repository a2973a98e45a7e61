"""The public interface: every function has an example, and the examples run."""

from __future__ import annotations

import doctest
import inspect

import pytest

from napari_hemacells import api

FUNCTIONS = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]


@pytest.mark.parametrize("name", ["", *FUNCTIONS])
def test_the_example_runs(name: str) -> None:
    target = getattr(api, name) if name else api
    finder = doctest.DocTestFinder(recurse=False)
    examples = finder.find(target, name or "api", globs=vars(api).copy())
    assert any(example.examples for example in examples)
    for example in examples:
        assert doctest.DocTestRunner().run(example).failed == 0
