"""Command-line options made from parameter models: each option is declared once, in its model.

Also: how a command reads its arguments, reports errors and sets its exit code.
"""

import inspect
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from pydantic import Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from napari_hemacells.cli.console import Reporter, print_error
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.image.plane_selection import PlaneSelection
from napari_hemacells.core.params import (
    CropSizeParams,
    DetectParams,
    DeviceName,
    EncodeParams,
    Params,
    PointCropParams,
    SelectParams,
)

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE",
        help="Image files, OME-Zarr folders, folders of images, or patterns (in quotes).",
    ),
]
OutFolder = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")
]
JsonTarget = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="[FILE.json]",
        help="Write the result as JSON: to the file, or to standard output if no file is given.",
    ),
]
NetworkDevice = Annotated[
    DeviceName, typer.Option("--device", help=EncodeParams.model_fields["device"].description)
]
CpuDevice = Annotated[
    DeviceName,
    typer.Option(
        "--device",
        help="Accepted as by the other commands, without effect: both detectors use the CPU.",
    ),
]
CellsFile = Annotated[
    Path | None,
    typer.Option(
        "--cells",
        metavar="FILE",
        help=(
            "Use your own cells instead of detecting them: a label image (.tif, "
            ".png, .npy) or a table of boxes (.csv). For several images: a folder "
            "with NAME.labels.tif, NAME.tif, NAME.png, NAME.npy or NAME.csv for each."
        ),
    ),
]

BOUNDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


class RunOptions(Params):
    """Options of every command."""

    quiet: bool = Field(default=False, description="Print only results and errors.")
    debug: bool = Field(default=False, description="Print where an error comes from.")


class ShareOptions(Params):
    """How the images of a command are shared among processes."""

    workers: int | None = Field(
        default=None,
        ge=0,
        le=1024,
        description=(
            "Number of processes on this computer that share the images and the "
            "parts of large ones; the results are the same bytes. 0 or 1: this "
            "process only. Default: one per core, as far as the memory allows, or "
            "this process only if the images have less than 32 megapixels in total."
        ),
    )
    scheduler: str | None = Field(
        default=None,
        description=(
            "Address of a dask scheduler (tcp://HOST:8786) whose workers do the "
            "work. They must see images and results under the same paths and have "
            "the same version of napari-hemacells."
        ),
    )
    skip_done: bool = Field(
        default=False,
        description=(
            "Continue an interrupted run of the same command: images whose results "
            "are in DIR, and finished parts of large images, are not done again."
        ),
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "ShareOptions":
        if self.scheduler is not None and self.workers is not None:
            raise ValueError("--scheduler uses its own workers: leave out --workers")
        return self


class PlaneOptions(Params):
    """Which plane of a stack is worked on, and which of its channels are the picture."""

    plane: str | None = Field(
        default=None,
        description=(
            "The plane of a stack to work on, counted from 1 (napari's slider counts from 0): a "
            "number, or one for each axis, such as t=2,z=5. Images that are no stack are used as "
            "they are."
        ),
    )
    channels: str | None = Field(
        default=None,
        description=(
            "The channels to use, counted from 1: one for a grey picture, or three as red, green "
            "and blue, such as 3,2,1. Default: those that the file names, or the first three."
        ),
    )

    @model_validator(mode="after")
    def _readable(self) -> "PlaneOptions":
        PlaneSelection.parse(self.plane, self.channels)
        return self

    @property
    def selection(self) -> PlaneSelection:
        """What the options say, parsed."""
        return PlaneSelection.parse(self.plane, self.channels)

    def record(self) -> dict[str, Any]:
        """Return what a result says of the choice; nothing where none was made."""
        return self.selection.to_dict() if self.selection else {}

    def tell(self, reporter: Reporter) -> None:
        """Print the choice, where one was made."""
        if self.plane:
            reporter.say(f"Of stacks, the plane {self.plane} is read, counted from 1.")
        if self.channels:
            reporter.say(f"The channels {self.channels} are read, counted from 1.")


PANELS: dict[type[Params], str] = {
    PlaneOptions: "Stacks and channels",
    PointCropParams: "Crops",
    CropSizeParams: "Study",
    DetectParams: "Detection",
    SelectParams: "Choice of frames",
    ShareOptions: "Many images, large images",
}


def flag(name: str) -> str:
    """Return the option's flag: ``cell_diameter`` is ``--cell-diameter``."""
    return "--" + name.replace("_", "-")


def help_text(field: FieldInfo) -> str:
    """Return the field's description with its bounds."""
    bounds = [
        f"{words} {getattr(rule, key):g}"
        for rule in field.metadata
        for key, words in BOUNDS.items()
        if hasattr(rule, key)
    ]
    text = field.description or field.title or ""
    return f"{text} ({', '.join(bounds)})" if bounds else text


def option(name: str, field: FieldInfo, panel: str | None = None) -> inspect.Parameter:
    """Return the keyword parameter from which typer builds the field's option."""
    on = flag(name)
    info = typer.Option(
        f"{on}/--no-{on[2:]}" if field.default is True else on,
        help=help_text(field),
        show_default=field.default is not None,
        rich_help_panel=panel,
        # A worker may have another working folder; typer before 0.29 would resolve a word too.
        resolve_path=Path in (field.annotation, *get_args(field.annotation)),
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[field.annotation, info],
    )


def build(model: type[Params], values: dict[str, Any]) -> Params:
    """Return the model made of the values.

    Raises
    ------
    typer.BadParameter
        If a value is outside its bounds; the message names the option and the rule.
    """
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # a rule about several options, which names them
            raise typer.BadParameter(f"{message}.") from error
        hint = flag(str(first["loc"][0]))
        raise typer.BadParameter(f"{message}, got {first['input']!r}.", param_hint=hint) from error


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with each parameter model in its signature spread into options.

    ``def detect(images, *, params: DetectParams)`` becomes a function that takes every field of
    :class:`DetectParams` by keyword and passes on the validated model.
    """
    hints = get_type_hints(command, include_extras=True)
    models: dict[str, type[Params]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        hint = hints[name]
        if isinstance(hint, type) and issubclass(hint, Params):
            models[name] = hint
            panel = PANELS.get(hint)
            parameters += [option(key, field, panel) for key, field in hint.model_fields.items()]
        else:
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)
            )

    @wraps(command)
    def spread(**values: Any) -> None:
        built = {
            name: build(model, {key: values.pop(key) for key in model.model_fields})
            for name, model in models.items()
        }
        command(**values, **built)

    annotations = {parameter.name: parameter.annotation for parameter in parameters}
    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = annotations
    del spread.__wrapped__  # typer would read the hints of the wrapped function
    return spread


def parse_numbers(value: str, option: str) -> tuple[int, ...]:
    """Return the numbers of an option that takes several, in the order given.

    Raises
    ------
    typer.BadParameter
        Something else than whole numbers.
    """
    parts = [part for part in value.replace(",", " ").split() if part]
    if not parts or not all(part.isdecimal() for part in parts):
        raise typer.BadParameter("Whole numbers are needed, such as 90 95 100.", param_hint=option)
    return tuple(int(part) for part in parts)


NUMBERS = re.compile(r"\d+(,\d+)*")
JSON_TARGET = re.compile(r"-|.*\.json", re.IGNORECASE)


def join_numbers(arguments: list[str], option: str = "--shots") -> list[str]:
    """Return the arguments with ``--shots 1 5 10`` written as ``--shots=1,5,10``.

    The option parser accepts one value per flag, but people write several. Numbers up to the first
    argument that is not a number belong to the flag (write a folder named ``10`` as ``./10``).
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

    Only a name that ends in ``.json`` is taken as the file, so that ``--json smear.png`` never
    overwrites an image.
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
    """A command that reports a known error in one sentence and ends with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a :class:`HemaCellsError` ends it with the error's exit code."""
        try:
            return super().invoke(ctx)
        except HemaCellsError as error:
            print_error(error, debug=bool(ctx.params.get("debug")))
            raise typer.Exit(error.exit_code) from error


class JsonCommand(Command):
    """A command whose ``--json`` may stand alone: the result then goes to standard output."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments left after parsing, with a bare ``--json`` completed."""
        return super().parse_args(ctx, complete_json(args))


class ShotsCommand(Command):
    """A command whose ``--shots`` takes several numbers."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments left after parsing, with the numbers after ``--shots`` joined."""
        return super().parse_args(ctx, join_numbers(args))


class SizesCommand(JsonCommand):
    """A command whose ``--size`` and ``--shots`` take several numbers."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments left after parsing, with the numbers behind an option joined."""
        return super().parse_args(ctx, join_numbers(join_numbers(args, "--size")))
