from __future__ import annotations

import pytest

from napari_hemacells.core.annotate import CellClass, Palette, default_palette, next_colour
from napari_hemacells.core.annotate.palette import CLASS_COLOURS, palette_with
from napari_hemacells.core.errors import AnnotationError


def test_default_palette_names_keys_and_distinct_colours():
    palette = default_palette()
    assert [(c.name, c.key) for c in palette] == [("RBC", 1), ("WBC", 2), ("Platelets", 3)]
    assert len({c.colour for c in palette}) == 3
    assert all(c.colour in CLASS_COLOURS for c in palette)


def test_new_classes_take_the_lowest_free_key_and_colour():
    palette = default_palette().remove("rbc").add("Smudge")
    smudge = palette.by_name("smudge")
    assert smudge is not None
    assert (smudge.key, smudge.colour) == (1, CLASS_COLOURS[0])


def test_twenty_classes_have_twenty_colours_and_nine_keys():
    palette = Palette()
    for number in range(20):
        palette = palette.add(f"class {number}")
    assert len({c.colour for c in palette}) == 20
    assert [c.key for c in palette] == [*range(1, 10), *[None] * 11]
    assert next_colour(palette) not in {c.colour for c in palette}


def test_a_key_changes_hands():
    palette = default_palette().set_key("platelets", 1)
    assert {c.id: c.key for c in palette} == {"rbc": None, "wbc": 2, "platelets": 1}
    assert palette.by_key(1) == palette.by_id("platelets")


def test_rename_and_recolour_keep_place_and_id():
    palette = default_palette().rename("wbc", " Leukocyte ").recolour("wbc", "#ABCDEF")
    assert palette.ids == ("rbc", "wbc", "platelets")
    assert palette.by_id("wbc") == CellClass("wbc", "Leukocyte", "#abcdef", 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.by_id("gone"), "no class"),
        (lambda p: p.rename("gone", "x"), "no class"),
        (lambda p: p.rename("wbc", "rbc"), "already a class"),
        (lambda p: p.add("platelets"), "already a class"),
        (lambda p: p.rename("wbc", "   "), "needs a name"),
        (lambda p: p.recolour("wbc", "red"), "not a colour"),
        (lambda p: p.set_key("wbc", 0), "choose 1 to 9"),
    ],
)
def test_what_cannot_be_says_so(change, words):
    with pytest.raises(AnnotationError, match=words):
        change(default_palette())


def test_a_palette_cannot_hold_one_id_or_key_twice():
    one = CellClass("a", "A", "#000000", 1)
    with pytest.raises(AnnotationError, match="same id"):
        Palette((one, CellClass("a", "B", "#000000", 2)))
    with pytest.raises(AnnotationError, match="same key"):
        Palette((one, CellClass("b", "B", "#000000", 1)))


def test_classes_known_by_name_take_the_place_of_unused_ones():
    start = default_palette()
    fresh = palette_with(start, ["Basophil", "rbc"], used=())
    assert [one.name for one in fresh] == ["RBC", "Basophil"]  # the case does not count
    used = palette_with(start, ["Basophil"], used={start.ids[0]})
    assert used.ids[: len(start.ids)] == start.ids
    assert used.by_name("Basophil") is not None
