"""What is compared: single temperatures, the region table, the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.evaluate.thermograms.features import APART, MAX, MEAN, ROOM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

METHOD, RELATIVE = "method", "method_without_absolute"


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
        Makes what learns from them; ``None``: the one column is the score itself, higher is
        sicker, and only the limit between healthy and sick is learned.
    """

    about: str
    columns: Callable[[Sequence[str]], list[str]]
    model: Callable[[], Any] | None = None

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return its columns of the table."""
        return table[self.columns(list(table.columns))]


def candidates() -> dict[str, Candidate]:
    """Return method, baselines and checks by name; nothing in them was fitted to any exam."""
    return {
        METHOD: Candidate(
            "many temperatures of body and breasts, held close to one another (logistic "
            "regression, strong ridge)",
            _grouped("absolute.body.", "absolute.higher.", "absolute.lower."),
            lambda: logistic(0.01),
        ),
        "max_temperature": Candidate("hottest pixel of the frame", _only(MAX)),
        "mean_temperature": Candidate("mean of the body", _only(MEAN)),
        "left_right_difference": Candidate(
            "difference between the breasts' means, either way", _only(APART)
        ),
        "region_table": Candidate(
            "logistic regression on the whole region table",
            _grouped("absolute.", "relative."),
            lambda: logistic(1.0),
        ),
        RELATIVE: Candidate(
            "as the method, but blind to the camera's offset: temperatures from the body's "
            "median, differences, hot spots, texture",
            _grouped("relative."),
            lambda: logistic(0.01),
        ),
        "room_temperature": Candidate("what is beside the patient", _only(ROOM)),
    }


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


def nearest() -> Any:
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
