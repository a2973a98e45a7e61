"""Accuracy after some clicks, seconds from a click to its answer, and memory, of one competitor.

Prints a line of JSON for each number of clicks. The same script runs in the environment of the
peers and in ours; what is not installed is left out.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

CLICKS, SIZES = (2, 6, 30, 100), (5_000, 50_000)
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # rows, classes, all → classes


def forest(rows: np.ndarray, targets: np.ndarray, every: np.ndarray) -> np.ndarray:
    """scikit-learn's random forest as it comes."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(random_state=0).fit(rows, targets).predict(every)


def logistic(rows: np.ndarray, targets: np.ndarray, every: np.ndarray) -> np.ndarray:
    """scikit-learn's logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return head.fit(rows, targets).predict(every)


def feature_classifier(rows: np.ndarray, targets: np.ndarray, every: np.ndarray) -> np.ndarray:
    """napari-feature-classifier: refit and predict, as its button does."""
    import pandas as pd
    from napari_feature_classifier.classifier import Classifier

    names = [f"f{column}" for column in range(rows.shape[1])]
    made = Classifier(names, [str(kind) for kind in range(int(targets.max()) + 1)])
    table = pd.DataFrame(rows, columns=names)
    table = table.assign(
        roi_id="slide", label=np.arange(1, len(rows) + 1), annotations=targets + 1
    )
    made.add_features(table)
    made.train()
    asked = pd.DataFrame(every, columns=names)
    asked = asked.assign(roi_id="slide", label=np.arange(1, len(every) + 1))
    return made.predict(asked).to_numpy().astype(int) - 1


def ours(rows: np.ndarray, targets: np.ndarray, every: np.ndarray) -> np.ndarray:
    """The head of this package."""
    from napari_hemacells.core.classify import SupportSet, fit

    support = SupportSet(rows.astype(np.float32), tuple(map(str, targets.tolist())))
    classes = tuple(sorted(set(support.labels), key=int))
    head = fit(support, classes, context=every)
    return np.array([int(name) for name in head.class_ids])[head.scores(every).argmax(axis=1)]


COMPETITORS: dict[str, tuple[str, str, Fit]] = {
    "napari-feature-classifier, regionprops": (
        "napari_feature_classifier", "regionprops", feature_classifier,
    ),
    "random forest, regionprops": ("sklearn", "regionprops", forest),
    "logistic, regionprops": ("sklearn", "regionprops", logistic),
    "random forest, our vectors": ("sklearn", "encoder", forest),
    "logistic, our vectors": ("sklearn", "encoder", logistic),
    "this package, detector's vectors": ("napari_hemacells", "detector", ours),
    "this package": ("napari_hemacells", "encoder", ours),
}  # fmt: skip


def main() -> None:
    """Run one competitor, or name those that can run."""
    if len(sys.argv) < 3:
        print("\n".join(n for n, (m, *_) in COMPETITORS.items() if importlib.util.find_spec(m)))
        return
    warnings.simplefilter("ignore")
    name, stored = sys.argv[2], np.load(sys.argv[1])
    _, space, answer = COMPETITORS[name]
    vectors, targets = stored[space], stored["targets"]
    for clicks in CLICKS:
        scores, failed = [], ""
        for draw in stored["draws"]:
            clicked = draw[:clicks]
            asked = np.setdiff1d(np.arange(len(targets)), draw)
            try:
                said = answer(vectors[clicked], targets[clicked], vectors)
            except ValueError as error:
                failed = str(error).splitlines()[0][:90]
                continue
            right = said[asked] == targets[asked]
            scores.append(np.mean([right[targets[asked] == k].mean() for k in np.unique(targets)]))
        row: dict[str, object] = {"competitor": name, "clicks": clicks}
        row["accuracy"] = round(100 * float(np.mean(scores)), 1) if scores else None
        row["refused"] = failed
        for size in SIZES if scores and clicks in {6, 100} else ():
            every = np.resize(vectors, (size, vectors.shape[1])).astype(np.float32)
            every += np.random.default_rng(0).normal(0, 1e-3, every.shape).astype(np.float32)
            clicked = stored["draws"][0][:clicks]
            times = []
            for _ in range(3):
                start = time.process_time()
                answer(vectors[clicked], targets[clicked], every)
                times.append(time.process_time() - start)
            row[f"processor_ms_{size}"] = round(1000 * min(times))
        row["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
