"""What the encoder is taught with: crops, labels, loss, and a run that can be stopped."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch

from encoder_augment import TIGHTEST, WIDEST, Draw, augment, like_another, reframe
from encoder_cells import ATTRIBUTES, FINE, GROUPS, PBC_FINE, SOURCES, UNKNOWN, CellSet, place_in
from encoder_lesson import SHARED, Answers, Labels, Loss, Pupil, clusters, shares

SIDE = 96


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def discs(count: int, extent: float) -> torch.Tensor:
    """Dark discs of that part of the picture's side, in the centre of light pictures."""
    places = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    inside = torch.hypot(places[:, None], places[None]) < extent / 2
    return torch.where(inside, 0.0, 1.0).expand(count, 3, SIDE, SIDE).contiguous()


def some_cells() -> CellSet:
    """Three cells of each source, as noise."""
    count = 9
    source = np.repeat([0, 1, 2], 3)
    red = GROUPS.index("red cell")
    return CellSet(
        pictures=np.random.default_rng(0).integers(0, 256, (count, 48, 48, 3), dtype=np.uint8),
        reach=np.full(count, 2.5, np.float32),
        usual=np.full(count, 2.5, np.float32),
        kind=np.array([1, 1, 2, 0, 0, 0, 0, 1, 2]),
        group=np.array([0, 1, 7, red, red, red, red, UNKNOWN, 7]),
        fine=np.array([0, 1, 10, 11, 12, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]),
        source=source,
        attributes=np.full((count, len(ATTRIBUTES)), UNKNOWN),
    )


def labels_of(cells: CellSet) -> Labels:
    return Labels(*(torch.from_numpy(getattr(cells, name)) for name in Labels._fields))


def answers_of(cells: CellSet, embedding: torch.Tensor) -> Answers:
    """Answers that tell nothing."""
    values = sum(map(len, ATTRIBUTES.values()))
    widths = (3, len(GROUPS), len(FINE), len(SHARED), values, 4)
    return Answers(embedding, *(torch.zeros(len(cells), width) for width in widths))


def test_the_same_seed_gives_the_same_crops():
    pictures = torch.randint(0, 256, (6, 64, 64, 3), dtype=torch.uint8, generator=generator())
    reach = torch.full((6,), 2.5)
    first, again, other = (
        augment(pictures, reach, reach, 48, generator(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (6, 3, 48, 48)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1


def test_a_crop_is_between_the_tightest_and_the_widest_margin():
    count, extent = 200, 0.25
    reach = torch.full((count,), 1 / extent)
    draw = Draw(count, generator(), torch.device("cpu"))
    crops = reframe(discs(count, extent), reach, reach, SIDE, draw)
    context = (1 - crops[:, 0]).mean((1, 2)).mul(4 / torch.pi).rsqrt()  # side, in disc diameters
    assert TIGHTEST * 0.95 < context.min() < 1.2
    assert 2.1 < context.max() < WIDEST * 1.05


def test_like_another_keeps_shapes_and_takes_colours():
    dark, light = discs(1, 0.5) * 0.4, discs(1, 0.5) * 0.5 + 0.5
    mixed = like_another(torch.cat([dark, light]), Draw(2, generator(3), torch.device("cpu")))
    inside, outside = mixed[:, 0, SIDE // 2, SIDE // 2], mixed[:, 0, 2, 2]
    assert (inside < outside).all()


def test_clusters_are_groups_of_pbc_types_of_chula_and_kinds_of_bccd():
    kinds = [len(FINE), len(FINE) + 1, len(FINE) + 2]
    assert clusters(labels_of(some_cells())).tolist() == [0, 1, 7, 11, 12, UNKNOWN, *kinds]


@pytest.mark.parametrize(
    ("source", "asked"), [("pbc", slice(0, len(PBC_FINE))), ("chula", slice(len(PBC_FINE), None))]
)
def test_a_laboratory_teaches_only_its_own_classes(source, asked):
    """Otherwise the look of a laboratory tells the class."""
    cells = some_cells().chosen([source], [])
    fine = torch.randn(len(cells), len(FINE), generator=generator(), requires_grad=True)
    embedding = torch.nn.functional.normalize(
        torch.randn(len(cells), 8, generator=generator(), requires_grad=True)
    )
    answers = answers_of(cells, embedding)._replace(fine=fine)
    Loss(0.0, 0.0, 0.0)(answers, labels_of(cells), torch.zeros(len(cells), 4)).backward()
    taught = torch.zeros(len(FINE), dtype=torch.bool)
    taught[asked] = True
    assert fine.grad[:, taught].abs().sum() > 0
    assert fine.grad[:, ~taught].abs().sum() == 0


def test_sources_are_drawn_as_stated():
    cells = some_cells()
    weight = shares(cells, {0: 0.5, 1: 0.3, 2: 0.2}).numpy()
    np.testing.assert_allclose(np.bincount(cells.source, weights=weight), [0.5, 0.3, 0.2])


def test_classes_can_be_left_out():
    cells = some_cells().chosen(SOURCES[:2], ["basophil"])
    assert cells.group.tolist() == [1, 7] + 3 * [GROUPS.index("red cell")]
    assert place_in(FINE, "nothing of that name") == UNKNOWN


def test_without_a_sub_class_go_cells_that_may_be_of_it():
    cells = some_cells()
    cells.fine[1] = UNKNOWN
    left = cells.chosen(SOURCES, ["MMY"])
    assert left.group.tolist() == [0, 7, *cells.group[3:].tolist()]


def test_white_cells_of_all_laboratories_are_told_by_one_head():
    cells = some_cells()
    assert labels_of(cells).white.tolist() == [0, 1] + 7 * [UNKNOWN]


def test_attributes_teach_only_where_they_are_known():
    cells = some_cells()
    cells.attributes[0] = 1
    embedding = torch.nn.functional.normalize(torch.randn(len(cells), 8, generator=generator()))
    answers = answers_of(cells, embedding)
    guess = answers.attribute.clone().requires_grad_()
    loss = Loss(0.0, 1.0, 0.0)
    loss(
        answers._replace(attribute=guess), labels_of(cells), torch.zeros(len(cells), 4)
    ).backward()
    assert (guess.grad[0] != 0).all()
    assert (guess.grad[1:] == 0).all()


def test_weights_are_mixed_with_those_of_the_start():
    from encoder_file import begin_with, mix_with
    from napari_hemacells.core.encode.builtin import BUNDLED_WEIGHTS

    start, pupil = Pupil(4), Pupil(4)
    begin_with(start, BUNDLED_WEIGHTS)
    fresh = pupil.embed.weight.detach().clone()
    mix_with(pupil, BUNDLED_WEIGHTS, 0.25)
    torch.testing.assert_close(pupil.embed.weight, fresh.lerp(start.embed.weight, 0.25))


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    from train_encoder import Run

    monkeypatch.setattr("encoder_views.PART", 24)
    options = argparse.Namespace(
        out=tmp_path, steps=4, batch=6, size=32, rate=1e-3, contrast=0.5, seed=0,
        statistics="trained", attributes=0.5, looks=1.0, views=24, start=None, without=[],
        sources=list(SOURCES),
    )  # fmt: skip
    whole, first = (Run(some_cells(), tmp_path, options) for _ in range(2))
    for _ in range(4):
        whole.advance()
    for _ in range(2):
        first.advance()
    first.save()
    second = Run(some_cells(), tmp_path, options)
    second.resume()
    for _ in range(2):
        second.advance()
    for one, other in zip(whole.average.parameters(), second.average.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
