"""Other views of the same cells."""

import pytest
import torch

from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.augment import Mixer, augment

NOTHING = {"flips": False, "rotation": 0, "zoom": 1, "brightness": 0, "stain": 0}


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(16, 3, 24, 24)


def test_nothing_is_nothing(images):
    assert torch.equal(augment(images, ClassifierConfig(**NOTHING)), images)


def test_flips_are_exact_and_of_each_crop_alone(images):
    flipped = augment(images, ClassifierConfig(**{**NOTHING, "flips": True}))
    found = set()
    for before, after in zip(images, flipped, strict=True):
        turned = [before, before.flip(1), before.flip(2), before.flip(1, 2)]
        found.add(next(n for n, one in enumerate(turned) if torch.equal(one, after)))
    assert found == {0, 1, 2, 3}


def test_upright_pictures_are_mirrored_left_to_right_only(images):
    flipped = augment(images, ClassifierConfig(**{**NOTHING, "flips": True, "upright": True}))
    found = set()
    for before, after in zip(images, flipped, strict=True):
        found.add(next(n for n, one in enumerate((before, before.flip(2))) if one.equal(after)))
    assert found == {0, 1}


def test_a_rotation_keeps_distances_from_the_centre(images):
    rows = torch.arange(24) - 11.5
    disc = ((rows[:, None] ** 2 + rows**2).sqrt() < 6).float().expand(16, 3, -1, -1)
    turned = augment(disc, ClassifierConfig(**{**NOTHING, "rotation": 180, "flips": True}))
    assert (turned - disc).abs().mean() < 0.02


def test_zoom_enlarges_by_up_to_its_factor():
    rows = torch.arange(64) - 31.5
    disc = ((rows[:, None] ** 2 + rows**2).sqrt() < 20).float().expand(64, 3, -1, -1)
    area = (
        augment(disc, ClassifierConfig(**{**NOTHING, "zoom": 1.2})).mean((1, 2, 3))
        / disc[0].mean()
    )
    assert 1.0 <= float(area.min()) < 1.1
    assert 1.3 < float(area.max()) <= 1.46


def test_stain_and_brightness_stay_colours(images):
    changed = augment(images, ClassifierConfig(**{**NOTHING, "stain": 0.3, "brightness": 0.3}))
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.equal(changed, images)


def test_stain_leaves_glass_alone():
    glass = torch.ones(4, 3, 8, 8)
    changed = augment(glass, ClassifierConfig(**{**NOTHING, "stain": 0.5}))
    assert torch.allclose(changed, glass, atol=1e-6)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_shares_the_labels(images, kind):
    torch.manual_seed(1)
    mixed, shares = Mixer(ClassifierConfig(mix=kind), 2)(images, torch.arange(16) % 2)
    assert mixed.shape == images.shape
    assert torch.allclose(shares.sum(1), torch.ones(16))
    assert not torch.equal(mixed, images)


def test_without_mixing_labels_stay_numbers(images):
    same, targets = Mixer(ClassifierConfig(), 2)(images, torch.arange(16) % 2)
    assert same is images
    assert targets.tolist() == [0, 1] * 8
