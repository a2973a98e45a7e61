import pytest

from napari_hemacells.core.params import ClassifyParams, DetectParams, EncodeParams
from napari_hemacells.widgets.forms import ParamsForm, build_params

MODELS = [DetectParams, EncodeParams, ClassifyParams]


@pytest.mark.parametrize("model", MODELS)
def test_an_untouched_form_gives_the_defaults(qtbot, model):
    form = ParamsForm(model)
    qtbot.addWidget(form.native)
    assert build_params(model, form) == (model(), "")


@pytest.mark.parametrize("model", MODELS)
def test_titles_and_help_are_those_of_the_model(qtbot, model):
    form = ParamsForm(model)
    qtbot.addWidget(form.native)
    for name, field in model.model_fields.items():
        assert form.container[name].label == field.title
        assert form.container[name].tooltip == field.description


def test_an_empty_number_reads_as_words(qtbot):
    form = ParamsForm(DetectParams, ["cell_diameter"], empty={"cell_diameter": "estimated"})
    qtbot.addWidget(form.native)
    assert form.container["cell_diameter"].native.text() == "estimated"
    form.set_values({"cell_diameter": 42})
    assert form.values() == {"cell_diameter": 42}
    form.set_values({"cell_diameter": None})
    assert form.values() == {"cell_diameter": None}


def test_a_value_out_of_bounds_is_named(qtbot):
    form = ParamsForm(DetectParams, ["cell_diameter"])
    qtbot.addWidget(form.native)
    form.set_values({"cell_diameter": 1})
    params, reason = build_params(DetectParams, form)
    assert params is None
    assert reason.startswith("Cell diameter (px): ")


def test_each_change_is_told(qtbot):
    form = ParamsForm(ClassifyParams)
    qtbot.addWidget(form.native)
    with qtbot.waitSignal(form.changed):
        form.set_values({"head": "linear"})
    assert build_params(ClassifyParams, form)[0] == ClassifyParams(head="linear")
