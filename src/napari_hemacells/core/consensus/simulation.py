"""Simulated annotators of cells that are known, and how well a consensus finds these cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import Field
from scipy.spatial import KDTree

from napari_hemacells.core.consensus.grouping import assign
from napari_hemacells.core.consensus.points import ALIVE, DEAD, NOT_SURE, AnnotatorPoints
from napari_hemacells.core.params import Params

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SimulationParams(Params):
    """What simulated annotators see, and how often they are wrong."""

    annotators: int = Field(default=3, ge=1, le=50, description="Number of annotators.")
    images: int = Field(default=20, ge=1, le=10_000, description="Number of images.")
    spacing: float = Field(
        default=40.0, ge=4, le=1000, description="Pixels between neighbouring cells."
    )
    filled: float = Field(
        default=0.8, gt=0, le=1, description="Share of the places that hold a cell."
    )
    height: int = Field(default=390, ge=50, le=20_000, description="Rows of an image.")
    width: int = Field(default=520, ge=50, le=20_000, description="Columns of an image.")
    misses: float = Field(
        default=0.2, ge=0, lt=1, description="Share of the cells that an annotator misses."
    )
    false_points: float = Field(
        default=0.05,
        ge=0,
        le=2,
        description="False points of an annotator, as a share of the number of cells.",
    )
    jitter: float = Field(
        default=10.0,
        ge=0,
        le=200,
        description="Standard deviation of the clicks in pixels, of rows and of columns.",
    )
    wrong: float = Field(
        default=0.1, ge=0, le=1, description="Share of the states that are wrong."
    )
    unsure: float = Field(
        default=0.02, ge=0, le=1, description="Share of the states that are not sure."
    )
    alive: float = Field(default=0.65, ge=0, le=1, description="Share of the cells alive.")
    uneven: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "How much annotators differ: 0 all alike, 1 from faultless to twice the rates given."
        ),
    )


@dataclass(frozen=True, eq=False)
class SimulatedCells:
    """The cells that are there.

    Attributes
    ----------
    image
        ``(n,)`` number of each cell's image.
    position
        ``(n, 2)`` row and column.
    alive
        ``(n,)`` the state.
    spacing
        Pixels between neighbours.
    """

    image: NDArray[np.int64]
    position: NDArray[np.float64]
    alive: NDArray[np.bool_]
    spacing: float


def simulate_annotators(
    params: SimulationParams, seed: int = 0
) -> tuple[AnnotatorPoints, SimulatedCells]:
    """Return simulated points, and the cells that are there.

    Cells lie on a hexagonal grid, turned and shifted anew on each image, of which a share is
    empty. Each annotator misses cells, clicks beside the others with a normal scatter, names some
    states wrongly and puts false points anywhere.
    """
    random = np.random.default_rng(seed)
    places = [_grid(params, random) for _ in range(params.images)]
    image = np.repeat(np.arange(params.images), [len(grid) for grid in places])
    position = np.concatenate(places)
    alive = random.random(len(image)) < params.alive
    cells = SimulatedCells(image, position, alive, params.spacing)
    spread = np.linspace(-1, 1, params.annotators) if params.annotators > 1 else np.zeros(1)
    parts = [
        _annotate(cells, params, at, 1 + params.uneven * float(spread[at]), random)
        for at in range(params.annotators)
    ]
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    looked = np.stack(
        np.meshgrid(np.arange(params.images), np.arange(params.annotators), indexing="ij"), axis=-1
    ).reshape(-1, 2)
    points = AnnotatorPoints(
        tuple(f"image {at + 1}" for at in range(params.images)),
        tuple(f"annotator {at + 1}" for at in range(params.annotators)),
        (ALIVE, DEAD, NOT_SURE),
        joined[0], joined[1], joined[2], joined[3], looked,
    )  # fmt: skip
    return points, cells


def _grid(params: SimulationParams, random: np.random.Generator) -> NDArray[np.float64]:
    """``(n, 2)`` places of the cells of one image."""
    step, reach = params.spacing, float(np.hypot(params.height, params.width))
    lines = int(reach / (step * np.sqrt(0.75))) + 2
    across = int(reach / step) + 2
    row, column = np.mgrid[-lines : lines + 1, -across : across + 1].reshape(2, -1)
    grid = np.stack([row * step * np.sqrt(0.75), (column + 0.5 * (row % 2)) * step], axis=1)
    angle = random.random() * np.pi / 3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    grid = grid @ turn + random.random(2) * step + np.array([params.height, params.width]) / 2
    inside = ((grid >= 0) & (grid < (params.height, params.width))).all(axis=1)
    grid = grid[inside]
    kept: NDArray[np.float64] = grid[random.random(len(grid)) < params.filled]
    return kept


def _annotate(
    cells: SimulatedCells,
    params: SimulationParams,
    annotator: int,
    factor: float,
    random: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Image, annotator, position and response of one annotator's points."""
    seen = random.random(len(cells.image)) >= min(params.misses * factor, 0.99)
    image = cells.image[seen]
    position = cells.position[seen] + random.normal(0, params.jitter * factor, (len(image), 2))
    wrong = random.random(len(image)) < min(params.wrong * factor, 1.0)
    response = np.where(cells.alive[seen] ^ wrong, 0, 1)
    response[random.random(len(image)) < min(params.unsure * factor, 1.0)] = 2
    mean = params.false_points * factor * len(cells.image) / params.images
    made_up = np.repeat(np.arange(params.images), random.poisson(mean, params.images))
    anywhere = random.random((len(made_up), 2)) * (params.height, params.width)
    image = np.concatenate([image, made_up])
    return (
        image,
        np.full(len(image), annotator),
        np.concatenate([position, anywhere]),
        np.concatenate([response, (random.random(len(made_up)) >= params.alive).astype(int)]),
    )


class RecoveryScore(NamedTuple):
    """How well the cells that are there were found.

    Attributes
    ----------
    cells, found, hits
        Number of cells that are there, of cells of the consensus, and of pairs of both.
    right
        Hits whose state is that of the cell.
    offset
        Mean distance of the hits in pixels; NaN without any.
    """

    cells: int
    found: int
    hits: int
    right: int
    offset: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.hits / (self.cells + self.found) if self.cells + self.found else 1.0

    @property
    def state_accuracy(self) -> float:
        """Share of the hits whose state is right."""
        return self.right / self.hits if self.hits else float("nan")


def score_recovery(
    cells: SimulatedCells,
    image: NDArray[np.int64],
    position: NDArray[np.float64],
    alive: NDArray[np.bool_],
) -> RecoveryScore:
    """Compare a consensus with the cells that are there.

    A hit is a pair, one to one, closer than half of the spacing.

    Parameters
    ----------
    image, position, alive
        ``(m,)``, ``(m, 2)``, ``(m,)`` of the consensus.
    """
    reach = cells.spacing / 2
    if not len(image) or not len(cells.image):
        return RecoveryScore(len(cells.image), len(image), 0, 0, float("nan"))
    both = np.concatenate([cells.position, position])
    width = float(np.ptp(both[:, 1])) + 4 * reach
    truth, found = cells.position.copy(), position.astype(float).copy()
    truth[:, 1] += cells.image * width
    found[:, 1] += image * width
    near = KDTree(truth).sparse_distance_matrix(KDTree(found), reach, output_type="ndarray")
    at, to = assign(near["i"], near["j"], np.minimum((near["v"] / reach) ** 2, 0.999))
    offset = np.hypot(*(truth[at] - found[to]).T)
    return RecoveryScore(
        len(truth),
        len(found),
        len(at),
        int((cells.alive[at] == alive[to]).sum()),
        float(offset.mean()) if len(offset) else float("nan"),
    )
