"""Forms from parameter models, which declare title, tooltip, bounds and choices."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSlider,
    FloatSpinBox,
    LineEdit,
    SpinBox,
)
from pydantic import ValidationError
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QSlider

from napari_hemacells.core.params import Params

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from magicgui.widgets.bases import ValueWidget
    from pydantic.fields import FieldInfo
    from qtpy.QtWidgets import QWidget

P = TypeVar("P", bound=Params)


class ParamsForm(QObject, Generic[P]):
    """Widgets for the fields of a model; the value is a validated instance.

    Parameters
    ----------
    model
        The model.
    fields
        The fields to show, in this order; all of them if ``None``.
    empty
        For each field that may be ``None``, the text shown then, such as ``"estimated"``.
    """

    changed = Signal()

    def __init__(
        self,
        model: type[P],
        fields: Sequence[str] | None = None,
        *,
        empty: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(fields or model.model_fields)
        empty = empty or {}
        self.container: Container[Any] = Container(layout="vertical", labels=True)
        self.container.margins = (0, 0, 0, 0)
        for name in self.names:
            widget = _widget(name, model.model_fields[name], empty.get(name, "automatic"))
            _name(widget)
            widget.changed.connect(self._tell)
            self.container.append(widget)

    @property
    def native(self) -> QWidget:
        """The Qt widget."""
        native: QWidget = self.container.native
        return native

    def values(self) -> dict[str, Any]:
        """The contents of the fields; ``None`` where a field is empty."""
        return {
            name: _read(self.container[name], self.model.model_fields[name]) for name in self.names
        }

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Write into the fields."""
        for name, value in values.items():
            widget = self.container[name]
            widget.value = widget.min if value is None else value

    def _tell(self, _value: object = None) -> None:
        self.changed.emit()


def _name(widget: ValueWidget[Any]) -> None:
    """Tell screen readers what a field is: its label is beside it, not of it."""
    native: QWidget = widget.native
    for part in (native, *native.findChildren(QAbstractSpinBox), *native.findChildren(QSlider)):
        part.setAccessibleName(widget.label)


def build_params(model: type[P], *forms: ParamsForm[P]) -> tuple[P | None, str]:
    """The validated parameters of one or more forms, or ``None`` and an error message."""
    values = {name: value for form in forms for name, value in form.values().items()}
    try:
        return model(**values), ""
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        title = model.model_fields[name].title if name else "Parameters"
        return None, f"{title}: {first['msg'].lower()}."


def _widget(name: str, field: FieldInfo, empty: str) -> ValueWidget[Any]:
    kind, optional = _kind(field)
    shared: dict[str, Any] = {
        "name": name,
        "label": field.title or name,
        "tooltip": field.description or "",
    }
    if get_origin(kind) is Literal:
        return ComboBox(choices=list(get_args(kind)), value=field.default, **shared)
    if kind in {bool, str}:
        return (CheckBox if kind is bool else LineEdit)(value=field.default, **shared)
    low, high = _bounds(field)
    if optional:
        return _optional_number(kind, high, field.default, empty, shared)
    if kind is int:
        return SpinBox(value=field.default, min=int(low), max=int(high), **shared)
    if (low, high) == (0, 1):
        return FloatSlider(value=field.default, min=0, max=1, step=0.05, **shared)
    return FloatSpinBox(value=field.default, min=low, max=high, **shared)


def _optional_number(
    kind: type, high: float, default: float | None, empty: str, shared: dict[str, Any]
) -> ValueWidget[Any]:
    """A number field whose lowest value, 0, is shown as text: no value given."""
    if kind is int:
        # Of floats without decimals: magicgui's spin box of integers shows no text instead of 0.
        widget: Any = FloatSpinBox(value=default or 0, min=0, max=high, step=1, **shared)
        widget.native.setDecimals(0)
    else:
        step = 0.01 if high <= 100 else 1.0
        widget = FloatSpinBox(value=default or 0.0, min=0.0, max=high, step=step, **shared)
    widget.native.setSpecialValueText(empty)
    return widget  # type: ignore[no-any-return]


def _read(widget: ValueWidget[Any], field: FieldInfo) -> Any:
    value = widget.value
    kind, optional = _kind(field)
    if optional:
        return None if value == 0 else kind(value)
    return value


def _kind(field: FieldInfo) -> tuple[Any, bool]:
    """The type of a field without ``None``, and whether it allows ``None``."""
    kind = field.annotation
    if get_origin(kind) in {Union, UnionType}:
        inner = [member for member in get_args(kind) if member is not NoneType]
        return inner[0], len(inner) < len(get_args(kind))
    return kind, False


def _bounds(field: FieldInfo) -> tuple[float, float]:
    low, high = 0.0, 1e6
    for rule in field.metadata:
        low = next(
            (v for v in (getattr(rule, "ge", None), getattr(rule, "gt", None)) if v is not None),
            low,
        )
        high = next(
            (v for v in (getattr(rule, "le", None), getattr(rule, "lt", None)) if v is not None),
            high,
        )
    return low, high
