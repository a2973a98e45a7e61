"""The classes of a project: names, colours, keys, their order, and which are within which."""

from __future__ import annotations

import colorsys
import re
import secrets
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.types import PLATELET, RBC, WBC

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

# Okabe & Ito 2008, "Color universal design": told apart with any common colour blindness. In
# place of their black, which is not seen on dark, a violet that is as far from all the others, and
# their blue a little lighter for the same reason.
# The order puts first what stands out on a pink smear with purple nuclei.
CLASS_COLOURS = (
    "#56b4e9", "#e69f00", "#009e73", "#f0e442", "#0077bb", "#d55e00", "#cc79a7", "#874bff",
)  # fmt: skip
UNKNOWN_COLOUR = "#5b6168"
"""Colour of unknown cells: a slate that differs from every class and the background."""
KEYS = range(1, 10)
WITHIN = " ▸ "
"""Between the name of a kind and that of a class within it: ``lymphocyte ▸ abnormal``."""


@dataclass(frozen=True)
class CellClass:
    """One class; its ``id`` never changes, so a rename changes no annotation.

    Attributes
    ----------
    id
        Short stable string.
    name
        The displayed name; unique in a palette, ignoring case. Of a class within a kind, the
        kind's name comes first where others have the same: ``lymphocyte ▸ abnormal``.
    colour
        ``"#rrggbb"``, lower case.
    key
        Digit key 1 to 9, or ``None``.
    parent
        Id of the class that this one is within (its kind), or ``None``.

    Raises
    ------
    AnnotationError
        For an empty name, a colour that is not ``#rrggbb``, a key outside 1 to 9, a class within
        itself.
    """

    id: str
    name: str
    colour: str
    key: int | None = None
    parent: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.strip())
        object.__setattr__(self, "colour", self.colour.strip().lower())
        if not self.name:
            raise AnnotationError("A class needs a name: type at least one letter.")
        if not re.fullmatch(r"#[0-9a-f]{6}", self.colour):
            raise AnnotationError(
                f"“{self.colour}” is not a colour: write it as #rrggbb, for instance #56b4e9."
            )
        if self.key is not None and self.key not in KEYS:
            raise AnnotationError(f"Key {self.key} cannot belong to a class: choose 1 to 9.")
        if self.parent == self.id:
            raise AnnotationError(f"“{self.name}” cannot be within itself: choose another class.")
        if not self.own_name:
            raise AnnotationError("A class needs a name: type at least one letter.")

    @property
    def own_name(self) -> str:
        """The name without that of the kind before it."""
        if self.parent is None:
            return self.name
        return self.name.rsplit(WITHIN.strip(), 1)[-1].strip()

    @model_serializer(mode="wrap")
    def _as_json(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave ``parent`` out where there is none: earlier versions do not know it."""
        values: dict[str, Any] = handler(self)
        if self.parent is None:
            values.pop("parent", None)
        return values


@dataclass(frozen=True)
class Palette:
    """The classes in the user's order, immutable: every change returns a new palette.

    A class may be within another one, its kind. It comes below it, and its name has the kind's in
    front where other classes have the same. There are no more than these two levels.

    Raises
    ------
    AnnotationError
        If two classes share an id, a name or a key; if a kind is missing, or is within another.
    """

    classes: tuple[CellClass, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", _in_families(tuple(self.classes)))
        ids = [cell_class.id for cell_class in self.classes]
        if len(set(ids)) < len(ids):
            raise AnnotationError("Two classes of a palette have the same id.")
        names: set[str] = set()
        for cell_class in self.classes:
            if cell_class.name.casefold() in names:
                raise AnnotationError(
                    f"There is already a class “{cell_class.name}”: choose another."
                )
            names.add(cell_class.name.casefold())
        keys = [cell_class.key for cell_class in self.classes if cell_class.key is not None]
        if len(set(keys)) < len(keys):
            raise AnnotationError("Two classes of a palette have the same key.")

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[CellClass]:
        return iter(self.classes)

    def __contains__(self, class_id: object) -> bool:
        return any(cell_class.id == class_id for cell_class in self.classes)

    @property
    def ids(self) -> tuple[str, ...]:
        """Class ids in the user's order."""
        return tuple(cell_class.id for cell_class in self.classes)

    @property
    def parents(self) -> dict[str, str]:
        """The kind of each class that is within one, both by id; empty where all are alike."""
        return {
            cell_class.id: cell_class.parent
            for cell_class in self.classes
            if cell_class.parent is not None
        }

    @property
    def kind_names(self) -> dict[str, str]:
        """The name of each class's kind by its name; empty where no class is within another."""
        if not self.parents:
            return {}
        return {cell_class.name: self.kind_of(cell_class.id).name for cell_class in self.classes}

    def kind_of(self, class_id: str) -> CellClass:
        """Return the class that this one is within; itself where it is within none."""
        cell_class = self.by_id(class_id)
        return cell_class if cell_class.parent is None else self.by_id(cell_class.parent)

    def within(self, class_id: str) -> tuple[CellClass, ...]:
        """Return the classes within one, in the user's order."""
        return tuple(cell_class for cell_class in self.classes if cell_class.parent == class_id)

    def full_name(self, class_id: str) -> str:
        """Return the name with the kind's in front, such as ``lymphocyte ▸ abnormal``."""
        cell_class = self.by_id(class_id)
        if cell_class.parent is None:
            return cell_class.name
        return f"{self.by_id(cell_class.parent).name}{WITHIN}{cell_class.own_name}"

    def by_id(self, class_id: str) -> CellClass:
        """Return the class with this id.

        Raises
        ------
        AnnotationError
            If there is none.
        """
        for cell_class in self.classes:
            if cell_class.id == class_id:
                return cell_class
        raise AnnotationError(
            f"There is no class with the id “{class_id}” any more: choose one of the palette."
        )

    def by_name(self, name: str) -> CellClass | None:
        """Return the class with this name, ignoring case, or ``None``.

        The full name of a class within a kind is one of its names.
        """
        wanted = name.strip().casefold()
        for cell_class in self.classes:
            if wanted in {cell_class.name.casefold(), self.full_name(cell_class.id).casefold()}:
                return cell_class
        return None

    def by_key(self, key: int) -> CellClass | None:
        """Return the class with this key, or ``None``."""
        return next((cell_class for cell_class in self.classes if cell_class.key == key), None)

    def place(self, class_id: str) -> int:
        """Position of a class in the order; raises as :meth:`by_id` does."""
        return self.classes.index(self.by_id(class_id))

    def new_class(
        self,
        name: str,
        colour: str | None = None,
        key: int | None = None,
        *,
        class_id: str | None = None,
        parent: str | None = None,
    ) -> CellClass:
        """Return a new class, by default with the next free colour and key."""
        return CellClass(
            id=class_id or secrets.token_hex(4),
            name=name,
            colour=colour or next_colour(self),
            key=key if key is not None else next_key(self),
            parent=parent,
        )

    def add(
        self,
        name: str,
        colour: str | None = None,
        key: int | None = None,
        *,
        parent: str | None = None,
    ) -> Palette:
        """Return the palette with a class added at the end, or as the last one within `parent`."""
        return self.insert(self.new_class(name, colour, key, parent=parent))

    def insert(self, cell_class: CellClass, place: int | None = None) -> Palette:
        """Return it with a class at ``place`` (``None``: end); its key leaves any other class."""
        others = [_without_key(other, cell_class.key) for other in self.classes]
        others.insert(len(others) if place is None else place, cell_class)
        return Palette(tuple(others))

    def rename(self, class_id: str, name: str) -> Palette:
        """Return the palette with one class renamed."""
        return self._replace_class(replace(self.by_id(class_id), name=name))

    def recolour(self, class_id: str, colour: str) -> Palette:
        """Return the palette with one class recoloured."""
        return self._replace_class(replace(self.by_id(class_id), colour=colour))

    def set_key(self, class_id: str, key: int | None) -> Palette:
        """Return the palette with a key reassigned; its previous class loses it."""
        changed = replace(self.by_id(class_id), key=key)
        return Palette(
            tuple(
                changed if cell_class.id == class_id else _without_key(cell_class, key)
                for cell_class in self.classes
            )
        )

    def set_parent(self, class_id: str, parent: str | None) -> Palette:
        """Return the palette with one class within another one, the last there, or within none.

        Raises
        ------
        AnnotationError
            The other class is within one itself, or this one has classes within it.
        """
        before = self.by_id(class_id)
        moved = replace(before, name=before.own_name, parent=parent)
        others = [cell_class for cell_class in self.classes if cell_class is not before]
        place = self.classes.index(before)
        family = parent or before.parent  # it goes below the last one there
        if family is not None:
            self.by_id(family)
            members = [at for at, one in enumerate(others) if family in {one.id, one.parent}]
            place = members[-1] + 1
        others.insert(place, moved)
        return Palette(tuple(others))

    def remove(self, class_id: str) -> Palette:
        """Return the palette without one class; those within it are within none then."""
        gone = self.by_id(class_id)
        return Palette(
            tuple(
                replace(cell_class, name=cell_class.own_name, parent=None)
                if cell_class.parent == class_id
                else cell_class
                for cell_class in self.classes
                if cell_class is not gone
            )
        )

    def _replace_class(self, changed: CellClass) -> Palette:
        return Palette(
            tuple(
                changed if cell_class.id == changed.id else cell_class
                for cell_class in self.classes
            )
        )


def default_palette() -> Palette:
    """Return red cells, white cells and platelets on the keys 1, 2, 3."""
    palette = Palette()
    for class_id, name in (("rbc", RBC), ("wbc", WBC), ("platelets", PLATELET)):
        palette = palette.insert(palette.new_class(name, class_id=class_id))
    return palette


def palette_for(modality: str) -> Palette:
    """Return the classes of a new project: of blood cells or of patients' thermograms.

    Examples
    --------
    >>> [cell_class.name for cell_class in palette_for("temperature")]
    ['healthy', 'sick']
    """
    if modality != "temperature":
        return default_palette()
    palette = Palette()
    for name in ("healthy", "sick"):
        palette = palette.insert(palette.new_class(name, class_id=name))
    return palette


def palette_with(palette: Palette, names: Sequence[str], used: Collection[str]) -> Palette:
    """Return a palette that has classes of these names, compared without regard to case.

    Parameters
    ----------
    used
        Ids of the classes that have annotations. Without any, only classes of these names stay:
        the others are those that every new project starts with.
    """
    named = {known.id for known in map(palette.by_name, names) if known is not None}
    named |= {palette.kind_of(class_id).id for class_id in named}
    kept = palette
    if not used:
        for cell_class in palette:
            if cell_class.id not in named:
                kept = kept.remove(cell_class.id)
    for name in names:
        if kept.by_name(name) is None:
            kept = kept.insert(kept.new_class(name))
    return kept


def _in_families(classes: tuple[CellClass, ...]) -> tuple[CellClass, ...]:
    """Return them with each class below its kind, and names that tell all of them apart."""
    if all(cell_class.parent is None for cell_class in classes):
        return classes
    kinds = {member.id: member for member in classes if member.parent is None}
    for cell_class in classes:
        if cell_class.parent is not None and cell_class.parent not in kinds:
            raise AnnotationError(
                f"“{cell_class.own_name}” cannot be there: there are two levels only, and the "
                "class above must be within no other one."
            )
    ordered = [
        member
        for kind in kinds.values()
        for member in (kind, *(other for other in classes if other.parent == kind.id))
    ]
    used = Counter(member.own_name.casefold() for member in ordered)
    return tuple(
        member
        if member.parent is None
        else replace(
            member,
            name=member.own_name
            if used[member.own_name.casefold()] == 1
            else f"{kinds[member.parent].name}{WITHIN}{member.own_name}",
        )
        for member in ordered
    )


def next_colour(palette: Palette) -> str:
    """Return the first unused colour: colour-blind safe ones first, then new hues."""
    used = {cell_class.colour for cell_class in palette}
    for colour in CLASS_COLOURS:
        if colour not in used:
            return colour
    step = 0
    while (colour := _hue(step)) in used:
        step += 1
    return colour


def next_key(palette: Palette) -> int | None:
    """Return the lowest free key, ``None`` if all nine are used."""
    used = {cell_class.key for cell_class in palette}
    return next((key for key in KEYS if key not in used), None)


def _hue(step: int) -> str:
    # Golden-ratio steps keep neighbours far apart however many there are.
    hue = (0.1 + step * 0.618034) % 1
    rgb = colorsys.hls_to_rgb(hue, 0.4 + 0.2 * (step % 2), 0.7)
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in rgb)


def _without_key(cell_class: CellClass, key: int | None) -> CellClass:
    if key is None or cell_class.key != key:
        return cell_class
    return replace(cell_class, key=None)
