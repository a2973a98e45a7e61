"""What is compared: single temperatures, the region table, the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.thermography.study.features import APART, MAX, MEAN, ROOM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

METHOD, RELATIVE = "method", "method_without_absolute"
TABLE, HELD, HELD_MORE = 1.0, 0.01, 0.001  # C of the logistic regressions


@dataclass(frozen=True)
class Candidate:
    """One way to tell sick from healthy.

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


def candidates() -> dict[str, Candidate]:
    """Return method, baselines and checks by name; nothing in them was fitted to any exam."""
    return {
        METHOD: Candidate(
            "two logistic regressions with a strong ridge, together: temperatures of body and "
            "breasts, and an ImageNet network's view of the breasts' pattern",
            _grouped("absolute.body.", "absolute.higher.", "absolute.lower.", "embedding."),
            together,
        ),
        "max_temperature": Candidate("hottest pixel of the frame", _only(MAX)),
        "mean_temperature": Candidate("mean of the body", _only(MEAN)),
        "left_right_difference": Candidate(
            "difference between the breasts' means, either way", _only(APART)
        ),
        "region_table": Candidate(
            "logistic regression on the whole region table",
            _grouped("absolute.", "relative."),
            lambda _: logistic(TABLE),
        ),
        RELATIVE: Candidate(
            "the method without temperatures: the breasts' pattern alone, which the camera's "
            "offset does not change",
            _grouped("embedding."),
            together,
        ),
        "room_temperature": Candidate("what is beside the patient", _only(ROOM)),
    }


class Together:
    """Logistic regressions on groups of columns; the mean of their standardised scores decides.

    Each is strongly held back, as there are far more columns than patients.
    """

    def __init__(self, parts: Sequence[tuple[list[int], float]]) -> None:
        self._parts = parts
        self._fitted: list[tuple[list[int], Any, float]] = []

    def fit(self, values: NDArray[np.float64], sick: NDArray[np.bool_]) -> Together:
        """Learn from ``(n, columns)`` values."""
        self._fitted = []
        for columns, strength in self._parts:
            model = logistic(strength).fit(values[:, columns], sick)
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


def together(names: list[str]) -> Together:
    """Return the method's model for columns of these names."""
    groups = {"absolute.": HELD, "embedding.": HELD_MORE}
    parts = [
        ([place for place, name in enumerate(names) if name.startswith(group)], strength)
        for group, strength in groups.items()
    ]
    return Together([(columns, strength) for columns, strength in parts if columns])


def logistic(strength: float) -> Any:
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


def nearest(_names: list[str]) -> Any:
    """Return what remembers: the class of the most similar frame that it has seen."""
    from sklearn.impute import SimpleImputer
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(), KNeighborsClassifier(1)
    )


def _only(name: str) -> Callable[[Sequence[str]], list[str]]:
    return lambda names: [one for one in names if one == name]


def _grouped(*groups: str) -> Callable[[Sequence[str]], list[str]]:
    return lambda names: [one for one in names if one.startswith(groups)]
