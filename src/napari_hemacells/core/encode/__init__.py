"""Encoders: crops to embeddings, behind one protocol, with device choice and a disk cache.

Importing this package does not import torch; creating an encoder does.
"""

from napari_hemacells.core.encode.allowed import allow, check_allowed
from napari_hemacells.core.encode.builtin import bundled_encoder, imagenet_encoder
from napari_hemacells.core.encode.cache import EmbeddingCache
from napari_hemacells.core.encode.device import Device, choose_device
from napari_hemacells.core.encode.embed import embed, embed_pictures_steps, embed_steps
from napari_hemacells.core.encode.embed_collection import (
    cached_collection,
    embed_cells_steps,
    embed_collection_steps,
)
from napari_hemacells.core.encode.growing import GrowingEmbeddings
from napari_hemacells.core.encode.morphology import feature_scaling_of, without_features
from napari_hemacells.core.encode.protocol import Encoder, fingerprint
from napari_hemacells.core.encode.registry import encoder_like, encoder_name_of, load_encoder

__all__ = [
    "Device",
    "EmbeddingCache",
    "Encoder",
    "GrowingEmbeddings",
    "allow",
    "bundled_encoder",
    "cached_collection",
    "check_allowed",
    "choose_device",
    "embed",
    "embed_cells_steps",
    "embed_collection_steps",
    "embed_pictures_steps",
    "embed_steps",
    "encoder_like",
    "encoder_name_of",
    "feature_scaling_of",
    "fingerprint",
    "imagenet_encoder",
    "load_encoder",
    "without_features",
]
