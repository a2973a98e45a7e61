"""Which classes are white blood cells, by their names, for the differential count."""

from __future__ import annotations

import re

# Nucleated red cells have names that hold a white cell's ("basophilic erythroblast").
_NOT_WHITE = re.compile(
    r"erythr|eritro|normoblast|nrbc|megakaryo|thrombo|trombo|platelet|plaquet|red\b|smudge|gumprecht"
)
_WHITE = re.compile(
    r"neutro|eosino|basophil|basofil|basóf|lympho|linfo|lymfo|monocyt|monozyt|monocit|monóc|"
    r"granulocyt|granulozyt|granuloc|leukocyt|leucocyt|leukozyt|leucocit|leucóc|myelocyt|myelozyt|"
    r"mielocit|myelo?blast|monoblast|plasma ?cell|white (blood )?cell|\bblasts?\b|\bwbcs?\b|"
    r"\b(band|segmented|stab)\b"
)
# Abbreviations of analysers and of public sets (PBC, AML-Cytomorphology).
_SHORT = frozenset({
    "ba", "bas", "bne", "eo", "eos", "ig", "ly", "lya", "lym", "lyt", "mmy", "mmz", "mo", "mob",
    "mon", "my", "myb", "myo", "ne", "neu", "ngb", "ngs", "pmb", "pmo", "pmy", "sne",
})  # fmt: skip


def is_white_cell(name: str) -> bool:
    """Whether a class is known as a white blood cell.

    Names that are not known are not taken for one: what counts is said beside every differential
    count.

    Examples
    --------
    >>> [is_white_cell(name) for name in ("Neutrophils", "IG", "WBC", "band_cell")]
    [True, True, True, True]
    >>> [is_white_cell(name) for name in ("basophilic erythroblast", "RBC", "ring stage", "")]
    [False, False, False, False]
    """
    words = _words(name)
    return not _NOT_WHITE.search(words) and _names_white(words)


def is_white_within(name: str, kind: str) -> bool:
    """Whether a class within a kind is known as a white blood cell, by the names of both.

    Examples
    --------
    >>> is_white_within("healthy", "lymphocyte"), is_white_within("basophilic", "erythroblast")
    (True, False)
    """
    above = _words(kind)
    if _NOT_WHITE.search(above):
        return False
    return _names_white(above) or is_white_cell(name)


def _words(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


def _names_white(words: str) -> bool:
    return words in _SHORT or _WHITE.search(words) is not None
