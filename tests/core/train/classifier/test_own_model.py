"""Training that starts from one's own trained model, and every network written and read again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from made_up_discs import SMALL, add_discs
from napari_hemacells.core.classify.calibration import Calibration
from napari_hemacells.core.encode.finetuned.config import NetworkPlan
from napari_hemacells.core.encode.finetuned.network import Classifier
from napari_hemacells.core.errors import BundleError, EncoderError
from napari_hemacells.core.store import load_bundle, save_bundle
from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.export import make_bundle, tensors_hash
from napari_hemacells.core.train.classifier.model_zoo import (
    build_network,
    check_weights,
    resolve_architecture,
)
from napari_hemacells.core.train.classifier.own_model import bundle_folder
from napari_hemacells.core.train.classifier.pipeline import train, train_steps
from napari_hemacells.core.types import CropSpec

QUICK = {
    "bundled": 32, "small_vgg": 32, "small_vgg_bn": 32, "alexnet": 64, "resnet18": 32,
    "densenet121": 32, "vit_tiny_patch16_224": 32,
}  # fmt: skip
LARGE = {
    "resnet34": 32, "resnet50": 32, "resnet152": 32, "vgg16": 32, "vgg19": 32, "densenet169": 32,
    "vit_base_patch32_224": 64, "vit_base_patch16_224": 32, "vit_large_patch16_224": 32,
}  # fmt: skip
SIZES = QUICK | LARGE
CLASSES = ("a", "b", "c")


def written(network, plan, folder, classes=CLASSES):
    random = np.random.default_rng(0)
    n = 4 * len(classes)
    vectors = random.normal(size=(n, network.embedder.dim)).astype(np.float32)
    with torch.no_grad():
        targets = network.decide(torch.from_numpy(vectors)).argmax(1).numpy()
    targets[: len(classes)] = np.arange(len(classes))
    bundle = make_bundle(
        network, plan, name="made", classes=classes, spec=CropSpec(plan.size), temperature=1.5,
        calibration=Calibration(), vectors=vectors, targets=targets, held_out=vectors,
        seen="noise", training={},
    )  # fmt: skip
    return save_bundle(folder, bundle)


def eventful(network):
    """Batch norms with statistics and gains that are none of the usual ones."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            layer.num_batches_tracked.fill_(7)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, 0, 0.1)
    return network.eval()


@pytest.mark.parametrize(
    "arch", [*QUICK, *(pytest.param(arch, marks=pytest.mark.slow) for arch in LARGE)]
)
def test_every_network_is_written_and_read_again_with_equal_outputs(arch, tmp_path):
    recipe = ClassifierConfig(arch=arch, size=SIZES[arch], weights="none")
    network, plan, _ = build_network(recipe, len(CLASSES), CLASSES)
    folder = written(eventful(network), plan, tmp_path / "model")
    bundle = load_bundle(folder)
    assert tensors_hash(bundle.encoder_tensors) == bundle.encoder.sha256
    pixels = np.random.default_rng(0).integers(0, 255, (2, plan.size, plan.size, 3), np.uint8)
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (plan.mean, plan.std))
    inputs = (inputs - mean) / std
    with torch.no_grad():
        wanted = network.embedder(inputs).numpy()
        logits = network(inputs).numpy()
    encoded = bundle.make_encoder("cpu").encode(pixels)
    assert encoded == pytest.approx(wanted, rel=1e-3, abs=1e-3 * float(np.abs(wanted).max()))
    again, same_plan, told = build_network(ClassifierConfig(weights=str(folder)), 3, CLASSES)
    assert same_plan == plan
    assert told.with_head
    with torch.no_grad():
        found = again.eval()(inputs).numpy()
    assert found == pytest.approx(logits, rel=1e-3, abs=1e-3 * float(np.abs(logits).max()))


def test_counters_of_batch_norms_written_as_arrays_of_one_number_are_read(tmp_path):
    recipe = ClassifierConfig(arch="resnet18", size=32, weights="none")
    network, plan, _ = build_network(recipe, 3)
    bundle = load_bundle(written(eventful(network), plan, tmp_path / "model"))
    counters = [name for name in bundle.encoder_tensors if name.endswith("num_batches_tracked")]
    assert len(counters) == 21  # 20 of the body, one of the head
    assert all(bundle.encoder_tensors[name].shape == () for name in counters)
    old = {name: np.atleast_1d(value) for name, value in bundle.encoder_tensors.items()}
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    as_before = replace(bundle, encoder_tensors=old).make_encoder("cpu").encode(pixels)
    assert as_before == pytest.approx(bundle.make_encoder("cpu").encode(pixels))


def test_a_model_from_before_the_late_stage_keeps_its_vectors_and_gains_it_in_a_new_training(
    tmp_path,
):
    recipe = ClassifierConfig(size=32, weights="none")
    _, plan, _ = build_network(recipe, 3, CLASSES)
    network = eventful(Classifier(replace(plan, late=False), 3))
    folder = written(network, replace(plan, late=False), tmp_path / "model")
    bundle = load_bundle(folder)
    assert bundle.encoder.dim == 512 == len(bundle.head.centre)
    assert bundle.head.trained_novelty.first == 0
    pixels = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8)
    old = bundle.make_encoder("cpu").encode(pixels)
    again, later, told = build_network(ClassifierConfig(weights=str(folder)), 3, CLASSES)
    assert later.late
    assert told.with_head
    newer = load_bundle(written(again.eval(), later, tmp_path / "newer"))
    assert newer.head.trained_novelty.first == 512
    vectors = newer.make_encoder("cpu").encode(pixels)
    assert vectors.shape == (2, 512 + 192)
    assert np.allclose(vectors[:, :512], old, atol=1e-3 * float(np.abs(old).max()))
    assert np.allclose(newer.head.scores(vectors), bundle.head.scores(old), atol=1e-2)


def test_head_and_classes_in_another_order_come_along(tmp_path):
    network, plan, _ = build_network(ClassifierConfig(**SMALL), 3, CLASSES)
    folder = written(eventful(network), plan, tmp_path / "model")
    turned, _, told = build_network(ClassifierConfig(weights=str(folder)), 3, ("c", "a", "b"))
    inputs = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(turned.eval()(inputs), network(inputs)[:, [2, 0, 1]], atol=1e-4)
    assert told.with_head
    other, _, told = build_network(ClassifierConfig(weights=str(folder)), 2, ("a", "d"))
    assert not told.with_head
    assert "the head is new" in told.source
    with torch.no_grad():
        trunks = (one.eval().embedder.trunk(inputs) for one in (network, other))
        assert torch.allclose(*trunks)


def test_going_on_from_a_model_never_ends_worse_on_validation(job, discs):
    first = train(job("first"))
    reports = []
    steps = train_steps(job("second", weights=str(first.folder), arch="bundled", rate=0.5))
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            second = end.value
            break
    assert reports[0].message.startswith(
        "Starts from your model “discs” (test_resnet; classes red"
    )
    looked = next(report for report in reports if report.metrics)
    assert looked.message == "The model as it was"
    before, after = (one.figures["validation"]["log_loss"] for one in (first, second))
    assert after <= before + 1e-4
    assert second.weights.startswith("your model “discs”")
    assert "which has seen: started from nothing" in second.weights
    assert not any("learned from" in note for note in second.notes)  # the split is the same


def test_other_classes_take_the_body_and_a_new_head(job, discs):
    first = train(job("first"))
    add_discs(discs, "green", 12)
    second = train(job("second", weights=str(first.model), arch="bundled"))
    assert "the head is new" in second.weights
    assert set(second.figures["validation"]["classes"]) == {"red", "violet", "green"}


def test_held_out_pictures_that_the_model_had_learned_from_are_told(job):
    first = train(job("first"))
    second = train(job("second", weights=str(first.model), arch="bundled", seed=5))
    assert any("had learned from" in note and "too good" in note for note in second.notes)
    (first.folder / "split.csv").unlink()
    third = train(job("third", weights=str(first.model), arch="bundled"))
    assert any("It is not known which" in note for note in third.notes)


def test_another_architecture_than_the_model_has_is_refused(tmp_path):
    network, plan, _ = build_network(ClassifierConfig(**SMALL), 3)
    folder = written(eventful(network), plan, tmp_path / "model")
    with pytest.raises(EncoderError, match="is a network test_resnet, not resnet34"):
        check_weights(ClassifierConfig(weights=str(folder), arch="resnet34"))
    assert bundle_folder(str(folder / "bundle.json")) == folder
    assert bundle_folder("bundled") is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "bundled encoder, which has seen"),
        ({"weights": "imagenet"}, "ImageNet weights \\(EfficientNet-Lite0, in this package"),
        ({"weights": "none", "arch": "resnet18"}, "from scratch: resnet18 with random weights"),
    ],
)
def test_what_a_training_starts_from_is_told_before_it(changes, told):
    import re

    assert re.search(told, check_weights(ClassifierConfig(**changes)))


def test_a_model_of_four_turns_is_used_turned_and_written_with_it(tmp_path):
    recipe = ClassifierConfig(arch="bundled", size=32, weights="none", turns=4)
    network, plan, _ = build_network(recipe, len(CLASSES), CLASSES)
    folder = written(eventful(network), plan, tmp_path / "model")
    encoder = load_bundle(folder).make_encoder("cpu")
    pixels = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8)
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        views = [network.embedder(torch.rot90(inputs, turn, (2, 3))) for turn in range(4)]
    wanted = torch.stack(views).mean(0).numpy()
    tolerance = {"rel": 1e-3, "abs": 1e-3 * float(np.abs(wanted).max())}
    encoded = encoder.encode(pixels)
    assert encoded == pytest.approx(wanted, **tolerance)
    assert np.abs(encoded - views[0].numpy()).max() > 1e-2 * np.abs(wanted).max()
    assert encoder.encode(np.rot90(pixels, 1, (1, 2)).copy()) == pytest.approx(wanted, **tolerance)
    again = resolve_architecture(ClassifierConfig(weights=str(folder)))
    assert again.turns == 1  # of the new training's recipe, not of the model
    assert resolve_architecture(recipe.model_copy(update={"upright": True})).turns == 1


def test_a_model_without_turns_is_that_of_earlier_versions_and_odd_ones_are_refused():
    plan = resolve_architecture(ClassifierConfig(weights="none"))
    content = plan.to_dict()
    assert "turns" not in content
    assert NetworkPlan.from_dict(content) == plan
    with pytest.raises(BundleError, match="update it"):
        NetworkPlan.from_dict({**content, "turns": 3})
