"""Models compared: single temperatures, the region table, the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.thermography.study.features import (
    DIFFERENCE_FEATURE,
    MAX_FEATURE,
    MEAN_FEATURE,
    ROOM_FEATURE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

METHOD, METHOD_WITHOUT_ABSOLUTE = "method", "method_without_absolute"
TABLE_C, ABSOLUTE_C, EMBEDDING_C = 1.0, 0.01, 0.001  # C of the logistic regressions


@dataclass(frozen=True)
class ThermogramModel:
    """A model that separates sick from healthy patients.

    Attributes
    ----------
    about
        In words, for the report.
    columns
        Which columns of the table of features it looks at, given all their names.
    model
        Makes what learns from them, given their names; ``None``: the one column is the score
        itself, higher is sicker, and only the limit between healthy and sick is learned.
    """

    about: str
    columns: Callable[[Sequence[str]], list[str]]
    model: Callable[[list[str]], Any] | None = None

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return its columns of the table."""
        return table[self.columns(list(table.columns))]


def candidate_models() -> dict[str, ThermogramModel]:
    """Return method, baselines and checks by name; nothing in them was fitted to any exam."""
    return {
        METHOD: ThermogramModel(
            "two logistic regressions with a strong ridge, together: temperatures of body and "
            "breasts, and an ImageNet network's view of the breasts' pattern",
            _grouped("absolute.body.", "absolute.higher.", "absolute.lower.", "embedding."),
            make_ensemble,
        ),
        "max_temperature": ThermogramModel("hottest pixel of the frame", _only(MAX_FEATURE)),
        "mean_temperature": ThermogramModel("mean of the body", _only(MEAN_FEATURE)),
        "left_right_difference": ThermogramModel(
            "difference between the breasts' means, either way", _only(DIFFERENCE_FEATURE)
        ),
        "region_table": ThermogramModel(
            "logistic regression on the whole region table",
            _grouped("absolute.", "relative."),
            lambda _: make_logistic_regression(TABLE_C),
        ),
        METHOD_WITHOUT_ABSOLUTE: ThermogramModel(
            "the method without temperatures: the breasts' pattern alone, which the camera's "
            "offset does not change",
            _grouped("embedding."),
            make_ensemble,
        ),
        "room_temperature": ThermogramModel("what is beside the patient", _only(ROOM_FEATURE)),
    }


class ScoreEnsemble:
    """Logistic regressions on groups of columns; the mean of their standardised scores decides.

    Each is strongly held back, as there are far more columns than patients.
    """

    def __init__(self, parts: Sequence[tuple[list[int], float]]) -> None:
        self._parts = parts
        self._fitted: list[tuple[list[int], Any, float]] = []

    def fit(self, values: NDArray[np.float64], sick: NDArray[np.bool_]) -> ScoreEnsemble:
        """Learn from ``(n, columns)`` values."""
        self._fitted = []
        for columns, strength in self._parts:
            model = make_logistic_regression(strength).fit(values[:, columns], sick)
            spread = float(model.decision_function(values[:, columns]).std())
            self._fitted.append((columns, model, max(spread, 1e-9)))
        return self

    def predict_proba(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(n, 2)``; a score for ranking, not a calibrated probability."""
        scores = [
            model.decision_function(values[:, columns]) / spread
            for columns, model, spread in self._fitted
        ]
        sick = 1 / (1 + np.exp(-np.mean(scores, axis=0)))
        return np.stack([1 - sick, sick], axis=1)


def make_ensemble(names: list[str]) -> ScoreEnsemble:
    """Return the method's model for columns of these names."""
    groups = {"absolute.": ABSOLUTE_C, "embedding.": EMBEDDING_C}
    parts = [
        ([column for column, name in enumerate(names) if name.startswith(group)], strength)
        for group, strength in groups.items()
    ]
    return ScoreEnsemble([(columns, strength) for columns, strength in parts if columns])


def make_logistic_regression(strength: float) -> Any:
    """Return a logistic regression on standardised columns, both classes weighing the same."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(C=strength, class_weight="balanced", max_iter=2000),
    )


def make_nearest_neighbour(_names: list[str]) -> Any:
    """Return a nearest-neighbour model: the class of the most similar training frame."""
    from sklearn.impute import SimpleImputer
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(), KNeighborsClassifier(1)
    )


def _only(name: str) -> Callable[[Sequence[str]], list[str]]:
    return lambda names: [column for column in names if column == name]


def _grouped(*groups: str) -> Callable[[Sequence[str]], list[str]]:
    return lambda names: [column for column in names if column.startswith(groups)]
