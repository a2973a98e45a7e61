"""The keys of the dock and of the canvas, declared once.

napari asks the active layer's own keymap first, then the layer type's, then the viewer's. So the
keys are bound on our two layers, where they win over napari's editing keys, and on the viewer,
where napari's own keys of any other layer win over ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtGui import QKeySequence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from qtpy.QtGui import QKeyEvent

    class HasKeys(Protocol):
        """A napari layer or viewer."""

        keymap: dict[object, object]

        def bind_key(self, key: str, func: object = ..., *, overwrite: bool = ...) -> object:
            """Bind a function to a key; ``None`` unbinds."""


class KeyAction(NamedTuple):
    """What a key does, its spelling for napari and for Qt, and whether the viewer has it too."""

    action: str
    napari_keys: tuple[str, ...]
    qt_keys: tuple[str, ...]
    help: str
    on_viewer: bool = True


ACTIONS = (
    *(
        KeyAction(f"class {key}", (str(key),), (str(key),), "give the class with this key")
        for key in range(1, 10)
    ),
    KeyAction("remove", ("0",), ("0",), "take the class away"),
    KeyAction("undo", ("U", "Control-Z"), ("U", "Ctrl+Z"), "undo"),
    # Control-Y flips napari to 3D, so it is ours on our own layers only.
    KeyAction("redo", ("Control-Shift-Z",), ("Ctrl+Shift+Z",), "redo"),
    KeyAction("redo", ("Control-Y",), ("Ctrl+Y",), "redo", on_viewer=False),
    KeyAction("next", ("N",), ("N",), "next cell worth labelling"),
    KeyAction("previous", ("B", "Shift-N"), ("B", "Shift+N"), "cell before"),
    # Correcting the detection: what the selected cells, or the one under the pointer, become.
    KeyAction("add", ("A",), ("A",), "add a cell at the pointer"),
    KeyAction("delete", ("Delete", "Backspace"), ("Del", "Backspace"), "delete: no cell is here"),
    KeyAction("split", ("S",), ("S",), "split in two"),
    KeyAction("merge", ("M",), ("M",), "merge the chosen cells into one"),
    # Escape ends drawing in napari's own layers, so it is ours on our own only.
    KeyAction("let go", ("Escape",), ("Esc",), "put the tool down", on_viewer=False),
    # V hides layers in napari, which is what it still does on anybody else's layer.
    KeyAction("display", ("V",), ("V",), "flip image, class, confidence", on_viewer=False),
)


def _pairs(*, viewer: bool) -> Iterator[tuple[str, str]]:
    for key_action in ACTIONS:
        if key_action.on_viewer or not viewer:
            for key in key_action.napari_keys:
                yield key, key_action.action


class KeyMap:
    """Our keys on napari layers and the viewer, and off again.

    Parameters
    ----------
    act
        Called with the action's name.
    wanted
        Whether keys that reach the viewer are for us; on our own layers they always are.
    """

    def __init__(self, act: Callable[[str], None], wanted: Callable[[], bool]) -> None:
        self._act, self._wanted = act, wanted
        self._bound: list[tuple[HasKeys, dict[str, object]]] = []

    def bind(self, target: HasKeys, *, viewer: bool = False) -> None:
        """Bind every key on a layer or the viewer, once."""
        if any(known is target for known, _ in self._bound):
            return
        keys = {key: self._handler(action, viewer) for key, action in _pairs(viewer=viewer)}
        for key, function in keys.items():
            target.bind_key(key, function, overwrite=True)
        self._bound.append((target, dict(keys)))

    def unbind(self, target: HasKeys) -> None:
        """Give one layer or the viewer its own keys back."""
        for known, keys in self._bound:
            if known is target:
                for key in keys:
                    target.bind_key(key, None)
        self._bound = [pair for pair in self._bound if pair[0] is not target]

    def clear(self) -> None:
        """Give everything its own keys back."""
        for target, _ in list(self._bound):
            self.unbind(target)

    def _handler(self, action: str, viewer: bool) -> Callable[[object], None]:
        def press(_target: object) -> None:
            if not viewer or self._wanted():
                self._act(action)

        return press


def qt_action(event: QKeyEvent) -> str | None:
    """The action of a key pressed in the dock, ``None`` for any other key."""
    pressed = QKeySequence(event.keyCombination()).toString()
    return next(
        (key_action.action for key_action in ACTIONS if pressed in key_action.qt_keys), None
    )
