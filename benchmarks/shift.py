"""The domain shift score: ``python benchmarks/shift.py [DATA] [--encoder NAME]``.

The reference consists of PBC crops. Scored are other PBC crops, the same under a synthetic stain
shift of increasing strength (more haematoxylin, less eosin), single kinds of cells, and Jiangxi.
Prints a Markdown table of score and level.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from blood_sets import jiangxi
from napari_hemacells.cli.evaluate import make_encoder
from napari_hemacells.core.classify import Head, SupportSet, fit, head_shift
from napari_hemacells.core.crop import estimate_context, from_picture
from napari_hemacells.core.image import read_image
from napari_hemacells.core.types import CropSpec, Embeddings

STRENGTHS = (0.0, 0.15, 0.3, 0.45, 0.6)


def crops_of(files: list[Path]) -> np.ndarray:
    """``(n, size, size, 3)`` crops of images of one dataset."""
    spec, pictures = CropSpec(), [read_image(file).pixels for file in files]
    framing = spec.context / estimate_context(pictures[::3])
    return np.stack([from_picture(one, spec, framing=framing) for one in pictures])


def stained(crops: np.ndarray, strength: float) -> np.ndarray:
    """The crops with this much more haematoxylin and half as much less eosin."""
    from skimage.color import hed2rgb, rgb2hed

    parts = rgb2hed(crops)
    parts[..., 0] *= 1 + strength
    parts[..., 1] *= 1 - strength / 2
    return (np.clip(hed2rgb(parts), 0, 1) * 255).astype(np.uint8)


def line(name: str, crops: np.ndarray, head: Head, encoder: object) -> str:
    """Return the row of the crops of one image."""
    vectors = np.concatenate([encoder.encode(crops[i : i + 32]) for i in range(0, len(crops), 32)])
    here = Embeddings(np.arange(len(crops)), vectors, encoder.info, CropSpec(), name)
    found = head_shift(here, head)
    return f"| {name} | {len(crops)} | {found.score:.2f} | {found.level:.2f} | {found.is_large} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--cells", type=int, default=320)
    chosen = parser.parse_args()
    encoder = make_encoder(chosen.encoder, "auto")
    files = sorted((chosen.data / "pbc").glob("*/*.jpg"))
    files = [files[place] for place in np.random.default_rng(0).permutation(len(files))]
    here = crops_of(files[: chosen.cells])
    vectors = np.concatenate([encoder.encode(here[i : i + 32]) for i in range(0, len(here), 32)])
    labels = tuple(file.parent.name for file in files[:80])
    head = fit(SupportSet(vectors[:80], labels), sorted(set(labels)), context=vectors)
    others = crops_of(files[chosen.cells : chosen.cells + 120])
    print("| scored | cells | score | level | large |\n|---|---|---|---|---|")
    for strength in STRENGTHS:
        print(line(f"PBC, stain {strength}", stained(others, strength), head, encoder), flush=True)
    for name in ("lymphocyte", "platelet"):
        alone = [file for file in files[chosen.cells :] if file.parent.name == name][:60]
        print(line(f"PBC, only {name}", crops_of(alone), head, encoder), flush=True)
    foreign = sorted(jiangxi(chosen.data).glob("*/*.png"))[::3]
    print(line("Jiangxi", crops_of(foreign), head, encoder))
    print(f"\n{encoder.info.name} has seen: {encoder.info.seen}.")


if __name__ == "__main__":
    main()
