"""Public smears, fetched once by address and SHA-256 and kept in the user's cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import DownloadError

if TYPE_CHECKING:
    from pathlib import Path

_BCCD = "https://raw.githubusercontent.com/Shenggan/BCCD_Dataset/master/BCCD/JPEGImages/"


@dataclass(frozen=True)
class PublicImage:
    """One file of a public set: where it is, what it must be, whose it is."""

    url: str
    sha256: str
    title: str
    licence: str
    source: str


# The hashes are those of the files in the set's official training list.
PUBLIC: dict[str, PublicImage] = {
    "bccd-1": PublicImage(
        url=_BCCD + "BloodImage_00001.jpg",
        sha256="791ac5f11494bb9c0ce39080d25fc97731f7584a6df99fac2555a3d1613dfe9a",
        title="BCCD field 1",
        licence="MIT",
        source="BCCD dataset, Shenggan and others, github.com/Shenggan/BCCD_Dataset",
    ),
    "bccd-3": PublicImage(
        url=_BCCD + "BloodImage_00003.jpg",
        sha256="3098554473a0058685116a6229494d2e960603eec8e949a80baafc24766e8492",
        title="BCCD field 3",
        licence="MIT",
        source="BCCD dataset, Shenggan and others, github.com/Shenggan/BCCD_Dataset",
    ),
}


def cache_folder() -> Path:
    """Where fetched files are kept."""
    import platformdirs

    return platformdirs.user_cache_path("hemacells", appauthor=False) / "samples"


def fetch(name: str) -> Path:
    """The file of a public image, fetched if it is not there yet.

    Raises
    ------
    DownloadError
        Without a network, or when what came is not the file that was expected.
    """
    import pooch

    public = PUBLIC[name]
    folder = cache_folder()
    try:
        kept = pooch.retrieve(
            public.url,
            known_hash=f"sha256:{public.sha256}",
            fname=f"{name}.jpg",
            path=folder,
        )
    except ValueError as error:  # pooch's word for another hash; the file is not kept
        raise DownloadError(
            f"What came for “{public.title}” is not the file that was expected, so it was not "
            "kept. Try another day, or use the synthetic smear, which is always the same."
        ) from error
    except OSError as error:  # requests' exceptions are OSErrors too
        raise DownloadError(
            f"“{public.title}” could not be fetched: it needs the network once, then it is kept "
            f"in {folder}. The synthetic smear needs no network."
        ) from error
    from pathlib import Path

    return Path(kept)
