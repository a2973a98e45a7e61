"""Public smears, downloaded once, checked by SHA-256, and kept in the user's cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import DownloadError

if TYPE_CHECKING:
    from pathlib import Path

_BCCD = "https://raw.githubusercontent.com/Shenggan/BCCD_Dataset/master/BCCD/JPEGImages/"
# A commit, not a branch: the address keeps pointing at the same bytes.
_CHULA = (
    "https://raw.githubusercontent.com/Chula-PIC-Lab/Chula-RBC-12-Dataset/"
    "3d926ecf21d357a8b2b44dfd0b171f57222f06da/Dataset/"
)


@dataclass(frozen=True)
class PublicImage:
    """One file of a public dataset: its address, hash, title and licence."""

    url: str
    sha256: str
    title: str
    licence: str
    source: str


# Hashes of the files in copies of the sets; both BCCD fields are in its official training list.
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
    "chula-12": PublicImage(
        url=_CHULA + "12.jpg",
        sha256="b799d276c2edb2c38959cc31e1ba347c2cb5dbc68ff40b82f3133c7c95801cc7",
        title="Chula RBC-12 field 12",
        licence="MIT",
        source=(
            "Chula RBC-12, Naruenatthanaset et al. 2021, arXiv 2012.01321, "
            "github.com/Chula-PIC-Lab/Chula-RBC-12-Dataset"
        ),
    ),
}


def cache_folder() -> Path:
    """The folder for downloaded files."""
    import platformdirs

    return platformdirs.user_cache_path("hemacells", appauthor=False) / "samples"


def fetch(name: str) -> Path:
    """The file of a public image, downloaded if it is missing.

    Raises
    ------
    DownloadError
        There is no network, the downloaded file is not the expected one, or the cache cannot be
        written.
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
            f"The download of “{public.title}” is not the expected file, so it was "
            "not kept. Try again later, or use the synthetic smear, which needs no "
            "network."
        ) from error
    except PermissionError as error:
        raise DownloadError(
            f"“{public.title}” cannot be stored: the folder {folder} is not writable. "
            "Make it writable, or use the synthetic smear, which needs no folder."
        ) from error
    except OSError as error:  # requests' exceptions are OSErrors too
        raise DownloadError(
            f"“{public.title}” cannot be downloaded. Connect to the network once; the "
            f"file is then kept in {folder}. The synthetic smear needs no network."
        ) from error
    from pathlib import Path

    return Path(kept)
