"""Arguments as people type them, and the options that come from parameter models."""

from __future__ import annotations

import inspect

import pytest
import typer
from typer.testing import CliRunner

from napari_hemacells.cli.evaluate import parse_shots
from napari_hemacells.cli.options import (
    RunOptions,
    complete_json,
    flag,
    join_numbers,
    with_options,
)
from napari_hemacells.core.params import DetectParams


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        (["F", "--shots", "1", "5", "10", "--seed", "0"], ["F", "--shots=1,5,10", "--seed", "0"]),
        (["--shots", "1", "--shots", "5", "F"], ["--shots=1", "--shots=5", "F"]),
        (["--shots", "1,5", "10", "F"], ["--shots=1,5,10", "F"]),
        (["--shots=1", "5", "F"], ["--shots=1,5", "F"]),
        (["--seed", "3", "F"], ["--seed", "3", "F"]),
    ],
)
def test_several_numbers_may_follow_one_flag(typed: list[str], understood: list[str]) -> None:
    assert join_numbers(typed) == understood


def test_shots_are_sorted_and_single() -> None:
    assert parse_shots(["10,1", "5", "1"]) == [1, 5, 10]


@pytest.mark.parametrize("typed", [["many"], ["0"], [""], ["2.5"]])
def test_shots_that_are_no_counts_are_refused(typed: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        parse_shots(typed)


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        (["a.png", "--json"], ["a.png", "--json=-"]),
        (["--json", "a.png"], ["--json=-", "a.png"]),
        (["--json", "result.JSON", "a.png"], ["--json=result.JSON", "a.png"]),
        (["--json", "-", "a.png"], ["--json=-", "a.png"]),
        (["--json", "--out", "x"], ["--json=-", "--out", "x"]),
    ],
)
def test_json_never_takes_an_image_for_its_file(typed: list[str], understood: list[str]) -> None:
    assert complete_json(typed) == understood


def _command_with(seen: list[DetectParams]) -> typer.Typer:
    def command(*, params: DetectParams, run: RunOptions) -> None:
        seen.append(params)

    app = typer.Typer()
    app.command()(with_options(command))
    return app


def test_every_field_of_a_model_is_an_option() -> None:
    def command(*, params: DetectParams) -> None: ...

    assert list(inspect.signature(with_options(command)).parameters) == list(
        DetectParams.model_fields
    )
    assert flag("cell_diameter_um") == "--cell-diameter-um"


def test_defaults_are_those_of_the_model() -> None:
    seen: list[DetectParams] = []
    assert CliRunner().invoke(_command_with(seen), []).exit_code == 0
    assert seen == [DetectParams()]


def test_values_reach_the_model() -> None:
    seen: list[DetectParams] = []
    arguments = ["--cell-diameter", "40", "--sensitivity", "0.8"]
    assert CliRunner().invoke(_command_with(seen), arguments).exit_code == 0
    assert seen == [DetectParams(cell_diameter=40, sensitivity=0.8)]


@pytest.mark.parametrize("arguments", [["--sensitivity", "3"], ["--cell-diameter", "2"]])
def test_a_value_out_of_bounds_is_wrong_usage(arguments: list[str]) -> None:
    seen: list[DetectParams] = []
    result = CliRunner().invoke(_command_with(seen), arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.output
    assert seen == []
