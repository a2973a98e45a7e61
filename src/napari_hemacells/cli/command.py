"""How a command reads its arguments and how it ends: spread options, errors, exit codes."""

import re
from typing import Any

import typer
from typer.core import TyperCommand

from napari_hemacells.cli.console import explain
from napari_hemacells.core.errors import HemaCellsError

NUMBERS = re.compile(r"\d+(,\d+)*")
JSON_TARGET = re.compile(r"-|.*\.json", re.IGNORECASE)


def gather_numbers(arguments: list[str], option: str = "--shots") -> list[str]:
    """Return the arguments with ``--shots 1 5 10`` written as ``--shots=1,5,10``.

    Parsers of options give one flag one value; people write several. Numbers up to the first
    argument that is not one belong to the flag (a folder named ``10`` is written ``./10``).
    """
    result: list[str] = []
    for argument in arguments:
        gathers = bool(result) and result[-1].startswith(f"{option}=")
        if argument == option:
            result.append(f"{option}=")
        elif gathers and NUMBERS.fullmatch(argument):
            joint = "" if result[-1].endswith("=") else ","
            result[-1] += joint + argument
        else:
            result.append(argument)
    return result


def complete_json(arguments: list[str]) -> list[str]:
    """Return the arguments with a bare ``--json`` written as ``--json=-``, standard output.

    Only a name that ends in ``.json`` is taken as the flag's file, so that ``--json smear.png``
    never writes over an image.
    """
    result: list[str] = []
    for argument in arguments:
        if result and result[-1] == "--json":
            named = JSON_TARGET.fullmatch(argument) is not None
            result[-1] = f"--json={argument}" if named else "--json=-"
            if named:
                continue
        result.append(argument)
    if result and result[-1] == "--json":
        result[-1] = "--json=-"
    return result


class Command(TyperCommand):
    """A command that answers a known error with one sentence and the error's exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Return what the command returns; a :class:`HemaCellsError` ends it with its code."""
        try:
            return super().invoke(ctx)
        except HemaCellsError as error:
            explain(error, debug=bool(ctx.params.get("debug")))
            raise typer.Exit(error.exit_code) from error


class JsonCommand(Command):
    """A command whose ``--json`` may stand alone: then the result goes to standard output."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments left after parsing, with a bare ``--json`` completed."""
        return super().parse_args(ctx, complete_json(args))


class ShotsCommand(Command):
    """A command whose ``--shots`` takes several numbers."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments left after parsing, with the numbers after ``--shots`` joined."""
        return super().parse_args(ctx, gather_numbers(args))
