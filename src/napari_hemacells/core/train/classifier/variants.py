"""What a comparison varies: parameters of a recipe and their values, in all combinations."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.config import ClassifierConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 64  # trainings of one comparison
BODY = "body"  # not a parameter of its own: frozen or tuned
EMPTY = frozenset({"none", "empty", "auto"})  # of parameters that may be left empty


class Variant(NamedTuple):
    """One training of a comparison.

    Attributes
    ----------
    name
        What is varied, in words: ``resnet18``, or ``mix=mixup, smoothing=0.1``.
    """

    name: str
    recipe: ClassifierConfig


def comparison_variants(recipe: ClassifierConfig, words: Sequence[str]) -> tuple[Variant, ...]:
    """Return what a comparison trains.

    Parameters
    ----------
    recipe
        What all have in common.
    words
        Architectures; or ``parameter=value`` and further values of the same parameter, as many
        parameters as wanted. ``body=frozen`` learns the head alone, as many rounds in all.

    Raises
    ------
    TrainingError
        There is no such parameter or value, or there are too many combinations.

    Examples
    --------
    >>> [v.name for v in comparison_variants(ClassifierConfig(), ["mix=none", "mixup"])]
    ['mix=none', 'mix=mixup']
    """
    values = _values(words)
    combinations = list(product(*values.values()))
    if len(combinations) > MOST:
        raise TrainingError(
            f"These are {len(combinations)} trainings, more than {MOST}: compare fewer values."
        )
    return tuple(
        _variant(recipe, dict(zip(values, combination, strict=True)))
        for combination in combinations
    )


def _values(words: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of each parameter, in the order given, each once."""
    values: dict[str, list[str]] = {}
    name = "arch"
    for word in words:
        key, sign, value = word.partition("=")
        if sign:
            name = key.strip().replace("-", "_")
        value = (value if sign else key).strip()
        if name != BODY and name not in ClassifierConfig.model_fields:
            raise TrainingError(
                f"There is no parameter “{name}” to compare: take arch, body (frozen, tuned), "
                "mix, smoothing, batch, epochs, size, weights, or another option of this command."
            )
        own = values.setdefault(name, [])
        if value and value not in own:
            own.append(value)
    if not any(values.values()):
        raise TrainingError("Say what to compare: --compare resnet18 resnet34, or mix=none,mixup.")
    return {name: own for name, own in values.items() if own}


def _variant(recipe: ClassifierConfig, chosen: dict[str, str]) -> Variant:
    changes: dict[str, Any] = dict(chosen)
    if BODY in changes:
        changes |= _body(recipe, changes.pop(BODY))
    for name, value in changes.items():
        field = ClassifierConfig.model_fields[name]
        if isinstance(value, str) and field.default is None and value.casefold() in EMPTY:
            changes[name] = None
    try:
        own = ClassifierConfig(**{**recipe.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainingError(
            f"“{first['loc'][0]}” cannot be {first['input']!r} in a comparison: {first['msg']}."
        ) from error
    if list(chosen) == ["arch"]:
        return Variant(chosen["arch"], own)
    return Variant(", ".join(f"{name}={value}" for name, value in chosen.items()), own)


def _body(recipe: ClassifierConfig, value: str) -> dict[str, Any]:
    if value == "tuned":
        return {}
    if value != "frozen":
        raise TrainingError(f"“body” is frozen or tuned in a comparison, not “{value}”.")
    return {"frozen_epochs": recipe.frozen_epochs + recipe.epochs, "epochs": 0}
