"""The keys of the dock and of the canvas, declared once.

napari asks the active layer's own keymap first, then the layer type's, then the viewer's. So the
keys are bound on our two layers, where they win over napari's editing keys, and on the viewer,
where napari's own keys of any other layer win over ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QKeyEvent, QKeySequence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from qtpy.QtWidgets import QWidget

    class HasKeys(Protocol):
        """The keymap interface of a napari layer or viewer."""

        keymap: dict[object, object]

        def bind_key(self, key: str, func: object = ..., *, overwrite: bool = ...) -> object:
            """Bind a function to a key; ``None`` unbinds it."""


class KeyAction(NamedTuple):
    """An action with its keys as napari and Qt spell them, and whether the viewer binds them."""

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
    KeyAction("remove", ("0",), ("0",), "remove the class"),
    # X swaps colours in napari's own layers, which is what it still does there.
    KeyAction("not a cell", ("X",), ("X",), "not a cell: dirt, stain, smudge", on_viewer=False),
    KeyAction("undo", ("U", "Control-Z"), ("U", "Ctrl+Z"), "undo"),
    # Control-Y flips napari to 3D, so it is ours on our own layers only.
    KeyAction("redo", ("Control-Shift-Z",), ("Ctrl+Shift+Z",), "redo"),
    KeyAction("redo", ("Control-Y",), ("Ctrl+Y",), "redo", on_viewer=False),
    KeyAction("next", ("N",), ("N",), "next cell to annotate"),
    KeyAction("previous", ("B", "Shift-N"), ("B", "Shift+N"), "previous cell"),
    # Correcting the detection: what the selected cells, or the one under the pointer, become.
    KeyAction("add", ("A",), ("A",), "add a cell at the pointer"),
    KeyAction(
        "delete", ("Delete", "Backspace"), ("Del", "Backspace"), ("delete: this is not a cell")
    ),
    KeyAction("split", ("S",), ("S",), "split in two"),
    KeyAction("merge", ("M",), ("M",), "merge the chosen cells"),
    # Escape ends drawing in napari's own layers, so it is ours on our own only.
    KeyAction("let go", ("Escape",), ("Esc",), "stop the tool", on_viewer=False),
    # Classes have keys up to nine: these two reach the others. Napari's own change the brush.
    KeyAction("class before", ("[",), ("[",), "make the class above active", on_viewer=False),
    KeyAction("class after", ("]",), ("]",), "make the class below active", on_viewer=False),
    KeyAction("help", ("F1",), ("F1",), "show all keys"),
    # L picks a label in napari, which is what it still does on anybody else's layer.
    KeyAction("compare", ("C",), ("C",), "compare two cells: same kind or not", on_viewer=False),
    KeyAction("similar", ("L",), ("L",), "more like this cell, in the gallery", on_viewer=False),
    KeyAction(
        "similar everywhere",
        ("Shift-L",),
        ("Shift+L",),
        "more like this in all images",
        on_viewer=False,
    ),
    KeyAction("odd", ("O",), ("O",), "next odd cell, unlike every kind", on_viewer=False),
    KeyAction("odd before", ("Shift-O",), ("Shift+O",), "odd cell before", on_viewer=False),
    # V hides layers in napari, which is what it still does on anybody else's layer.
    KeyAction(
        "heat", ("H",), ("H",), "show where the network looked at the cell", on_viewer=False
    ),
    KeyAction(
        "display",
        ("V",),
        ("V",),
        "switch between image, class, confidence and odd ones",
        on_viewer=False,
    ),
)


def _pairs(*, viewer: bool) -> Iterator[tuple[str, str]]:
    for key_action in ACTIONS:
        if key_action.on_viewer or not viewer:
            for key in key_action.napari_keys:
                yield key, key_action.action


class KeyMap:
    """Binds the plugin's keys to napari layers and the viewer, and removes them again.

    Parameters
    ----------
    act
        Called with the name of the action.
    wanted
        Whether keys pressed on the viewer are meant for the plugin; on its own layers they
        always are.
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
        """Restore the keys of one layer or the viewer."""
        for known, keys in self._bound:
            if known is target:
                for key in keys:
                    target.bind_key(key, None)
        self._bound = [pair for pair in self._bound if pair[0] is not target]

    def clear(self) -> None:
        """Restore all keys."""
        for target, _ in list(self._bound):
            self.unbind(target)

    def _handler(self, action: str, viewer: bool) -> Callable[[object], None]:
        def press(_target: object) -> None:
            if not viewer or action == "help" or self._wanted():
                self._act(action)

        return press


def qt_action(event: QKeyEvent) -> str | None:
    """The action of a key pressed in the dock, ``None`` for any other key."""
    if event.text() == "?":  # with Shift or without, as the keyboard has it
        return "help"
    pressed = QKeySequence(event.keyCombination()).toString()
    return next(
        (key_action.action for key_action in ACTIONS if pressed in key_action.qt_keys), None
    )


class QuestionMark(QObject):
    """The key ``?`` on the canvas, which napari cannot bind: it asks for the table of keys.

    Parameters
    ----------
    canvas
        The widget that has the keyboard when the canvas has.
    act
        Called with ``"help"``.
    """

    def __init__(self, canvas: QWidget, act: Callable[[str], None]) -> None:
        super().__init__()
        self._canvas, self._act = canvas, act
        canvas.installEventFilter(self)

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Take the key, whatever the keyboard needs for it."""
        pressed = event is not None and event.type() == QEvent.Type.KeyPress
        if pressed and isinstance(event, QKeyEvent) and event.text() == "?":
            self._act("help")
            return True
        return False

    def close(self) -> None:
        """Let the canvas alone."""
        self._canvas.removeEventFilter(self)
