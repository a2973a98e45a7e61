"""Crops → embeddings: encoders behind one protocol, device choice, disk cache.

Importing this package does not import torch; making an encoder does.
"""

from napari_hemacells.core.encode.builtin import bundled_encoder, imagenet_encoder
from napari_hemacells.core.encode.cache import EmbeddingCache
from napari_hemacells.core.encode.device import Device, choose_device
from napari_hemacells.core.encode.embed import embed, embed_pictures_steps, embed_steps
from napari_hemacells.core.encode.morphology import joined_in, without_features
from napari_hemacells.core.encode.protocol import Encoder, fingerprint
from napari_hemacells.core.encode.registry import encoder, encoder_like, name_of

__all__ = [
    "Device",
    "EmbeddingCache",
    "Encoder",
    "bundled_encoder",
    "choose_device",
    "embed",
    "embed_pictures_steps",
    "embed_steps",
    "encoder",
    "encoder_like",
    "fingerprint",
    "imagenet_encoder",
    "joined_in",
    "name_of",
    "without_features",
]
