"""Networks by name, their sizes and their weights."""

import pytest
import torch
from safetensors.torch import save_file

from napari_hemacells.core.encode import weights_store
from napari_hemacells.core.encode.adapted import AdaptedHeader
from napari_hemacells.core.encode.finetuned.config import NetworkPlan
from napari_hemacells.core.encode.finetuned.network import Classifier
from napari_hemacells.core.errors import BundleError, EncoderError
from napari_hemacells.core.train.classifier import (
    ClassifierConfig,
    model_zoo,
    pipeline,
)
from napari_hemacells.core.train.classifier.model_zoo import (
    build_network,
    check_weights,
    load_initial_weights,
    resolve_architecture,
)
from napari_hemacells.core.train.classifier.pipeline import train

THESES = (
    "resnet18", "resnet34", "resnet50", "resnet152", "vgg16", "vgg19", "densenet121",
    "densenet169", "vit_base_patch32_224", "vit_base_patch16_224", "vit_large_patch16_224",
)  # fmt: skip
SMALL = {"arch": "test_resnet", "size": 32, "weights": "none"}


@pytest.mark.parametrize("arch", [*THESES, "alexnet"])
def test_the_theses_networks_are_made_for_224_pixels(arch):
    assert resolve_architecture(ClassifierConfig(arch=arch)).size == 224


def test_small_vgg_has_ten_convolutions_two_dense_layers_and_one_sigmoid():
    plan = resolve_architecture(ClassifierConfig(arch="small_vgg"))
    network = Classifier(plan, 2)
    kinds = [type(one).__name__ for one in network.modules()]
    assert plan.size == 95
    assert kinds.count("Conv2d") == 10
    dense = [one.out_features for one in network.modules() if isinstance(one, torch.nn.Linear)]
    assert dense == [1024, 512, 1]
    assert network(torch.zeros(2, 3, 95, 95)).shape == (2, 2)


@pytest.mark.parametrize(
    ("arch", "size", "width"),
    [("test_vit", 160, 2 * 64), ("alexnet", 64, 2 * 256), ("bundled", 64, 2 * 320)],
)
def test_heads_fit_maps_and_tokens(arch, size, width):
    network = build_network(ClassifierConfig(arch=arch, size=size, weights="none"), 3)[0]
    assert network.embedder.neck[0].num_features == width
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 3)


def test_an_unknown_architecture_is_refused_in_words():
    with pytest.raises(EncoderError, match="no architecture “resnet-18”"):
        build_network(ClassifierConfig(arch="resnet-18", weights="none"), 2)


@pytest.mark.parametrize(("arch", "size"), [("alexnet", 48), ("vgg16", 24)])
def test_pictures_too_small_for_an_architecture_are_refused_in_words(arch, size):
    with pytest.raises(EncoderError, match=f"{arch} cannot take pictures of {size} pixels"):
        build_network(ClassifierConfig(arch=arch, weights="none", size=size), 2)


@pytest.fixture
def offline(monkeypatch):
    """A computer without a network and without weights of the hub."""

    def unreachable(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(weights_store.socket, "create_connection", unreachable)
    monkeypatch.setattr(weights_store, "find_cached_file", lambda *names: None)
    monkeypatch.setattr(weights_store, "getproxies", dict)
    monkeypatch.setattr(model_zoo, "_torchvision_cached", lambda url: False)


@pytest.mark.parametrize("weights", ["hub", "auto"])
@pytest.mark.parametrize("arch", ["test_resnet", "test_vit", "densenet121", "alexnet"])
def test_without_a_network_nothing_trains_from_scratch_unless_asked_for(offline, arch, weights):
    recipe = ClassifierConfig(arch=arch, weights=weights)
    for refused in (lambda: check_weights(recipe), lambda: build_network(recipe, 2)):
        with pytest.raises(EncoderError, match=r"Nothing was trained.*--weights none"):
            refused()
    check_weights(ClassifierConfig(arch=arch, weights="none"))


def test_asked_for_it_trains_from_scratch_without_a_network(offline):
    assert build_network(ClassifierConfig(**SMALL), 2)[2][:2] == ("from nothing", "")


def test_weights_that_cannot_be_had_are_told_before_a_picture_is_read(offline, job, monkeypatch):
    monkeypatch.setattr(pipeline, "read_examples", lambda source: pytest.fail("was read"))
    with pytest.raises(EncoderError, match="cannot be fetched"):
        train(job(weights="auto"))
    with pytest.raises(EncoderError, match="no weights file"):
        train(job(weights="missing.pth"))


def test_a_file_without_counters_of_batch_normalisation_is_taken_whole(tmp_path):
    recipe = ClassifierConfig(arch="resnet18", size=32, weights="none")
    one, plan, _ = build_network(recipe, 2)
    whole = one.embedder.trunk.model.state_dict()
    counters = [name for name in whole if name.endswith("num_batches_tracked")]
    assert (len(counters), len(whole)) == (20, 120)
    stored = {name: value for name, value in whole.items() if name not in counters}
    save_file(stored, tmp_path / "w.safetensors")
    other = build_network(recipe, 2)[0]
    told = load_initial_weights(other.embedder.trunk, plan, str(tmp_path / "w.safetensors"))
    assert told.source.startswith("w.safetensors (100 of 100 tensors")
    assert not told.warning
    filled = other.embedder.trunk.model.state_dict()
    assert all(torch.equal(value, filled[name]) for name, value in stored.items())
    del stored["conv1.weight"]
    save_file(stored, tmp_path / "w.safetensors")
    told = load_initial_weights(other.embedder.trunk, plan, str(tmp_path / "w.safetensors"))
    assert "lacks 1 tensors" in told.warning


@pytest.mark.parametrize("prefix", ["", "module.", "backbone."])
def test_a_local_file_gives_its_weights_whatever_comes_before_the_names(tmp_path, prefix):
    one, plan, _ = build_network(ClassifierConfig(**SMALL), 2)
    stored = {
        prefix + name: value for name, value in one.embedder.trunk.model.state_dict().items()
    }
    torch.save(stored, tmp_path / "w.pth")
    save_file(stored, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        other, _, _ = build_network(ClassifierConfig(**SMALL), 2)
        told = load_initial_weights(other.embedder.trunk, plan, str(tmp_path / name))
        assert name in told.source
        assert all(
            torch.equal(value, other.embedder.trunk.state_dict()[key])
            for key, value in one.embedder.trunk.state_dict().items()
        )


def test_a_file_of_another_network_is_refused(tmp_path):
    save_file({"stem.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match="another architecture"):
        build_network(ClassifierConfig(**{**SMALL, "weights": str(tmp_path / "w.safetensors")}), 2)
    (tmp_path / "x.pth").write_bytes(b"nothing")
    with pytest.raises(EncoderError, match=r"weights file|was not opened"):
        build_network(ClassifierConfig(**{**SMALL, "weights": str(tmp_path / "x.pth")}), 2)
    with pytest.raises(EncoderError, match="weights file"):
        build_network(ClassifierConfig(**{**SMALL, "weights": str(tmp_path / "missing.pth")}), 2)


def test_a_plan_survives_json_and_a_damaged_one_is_refused():
    plan = NetworkPlan("resnet18", "concat", 64, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    assert NetworkPlan.from_dict(plan.to_dict()) == plan
    with pytest.raises(BundleError, match="incomplete"):
        NetworkPlan.from_dict({"arch": "resnet18"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "encoder", "seen"),
    [("auto", "bundled_encoder", "PBC"), ("imagenet", "imagenet_encoder", "no blood cells")],
)
def test_the_packaged_weights_fill_the_bundled_network(weights, encoder, seen):
    from napari_hemacells.core import encode

    network, _, told = build_network(ClassifierConfig(weights=weights), 2)
    stem = getattr(encode, encoder)("cpu").network.stem.state_dict()
    assert all(
        torch.equal(value, stem[name])
        for name, value in network.embedder.trunk.stem.state_dict().items()
    )
    assert "which has seen" in told.source
    assert seen in told.source


@pytest.mark.slow
def test_every_form_of_the_bundled_encoder_can_be_started_from():
    from napari_hemacells.core.encode.builtin import bundled_encoder

    recipe = ClassifierConfig(weights="blood-2")
    assert check_weights(recipe).startswith("Starts from the blood-2 encoder")
    network, _, told = build_network(recipe, 2)
    last = bundled_encoder("cpu", "blood-2").network.blocks[6].state_dict()
    for name, value in network.embedder.trunk.stages[6].state_dict().items():
        torch.testing.assert_close(value, last[name])
    assert "Raabin" in told.source


@pytest.fixture
def adapted(tmp_path):
    """An adapted encoder: two tensors of the last stages are other than ImageNet's."""
    from napari_hemacells.core import encode

    base = encode.imagenet_encoder("cpu")
    own = {name: value for name, value in base.network.state_dict().items() if "bn3.bias" in name}
    changed = dict(list({name: value + 0.5 for name, value in own.items()}.items())[-2:])
    header = AdaptedHeader("imagenet", base.info.sha256, (), 12, "2026-11-29", {})
    save_file(changed, tmp_path / "adapted.safetensors", metadata=header.to_metadata())
    return tmp_path / "adapted.safetensors", changed


@pytest.mark.parametrize("named", ["{}", "adapted:{}"])
def test_a_training_starts_from_an_adapted_encoder(adapted, named):
    file, changed = adapted
    recipe = ClassifierConfig(weights=named.format(file))
    assert "the imagenet encoder, which then learned from 12 crops" in check_weights(recipe)
    trunk = build_network(recipe, 2)[0].embedder.trunk
    before = build_network(ClassifierConfig(weights="imagenet"), 2)[0].embedder.trunk.state_dict()
    names = {name.replace("blocks.", "stages.", 1) for name in changed}
    for name, value in trunk.state_dict().items():
        own = changed.get(name.replace("stages.", "blocks.", 1), before[name])
        assert torch.equal(value, own)
    assert names <= set(before)
    told = build_network(recipe, 2)[2]
    assert "no blood cells; then, without labels, 12 crops of the user's" in told.source
    assert not told.warning


def test_an_adapted_encoder_fits_no_other_architecture_and_a_damaged_one_is_named(adapted):
    file, _ = adapted
    recipe = ClassifierConfig(**{**SMALL, "weights": str(file)})
    with pytest.raises(EncoderError, match=r"adapted\.safetensors do not fit test_resnet"):
        check_weights(recipe)
    with pytest.raises(EncoderError, match="not fit test_resnet"):
        build_network(recipe, 2)
    file.write_bytes(b"nothing")
    with pytest.raises(EncoderError, match="damaged or not an adapted encoder"):
        check_weights(ClassifierConfig(weights=f"adapted:{file}"))
