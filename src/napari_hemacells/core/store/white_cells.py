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
    words = re.sub(r"[\W_]+", " ", name.casefold()).strip()
    if _NOT_WHITE.search(words):
        return False
    return words in _SHORT or _WHITE.search(words) is not None
