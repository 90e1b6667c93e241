"""Descriptions of models: damaged files, and files of another model."""

import pytest

from counterfactory.core.descriptions import read_description
from counterfactory.core.errors import BadFile, UserError


def test_the_name_is_compared(tmp_path):
    path = tmp_path / "model.json"
    path.write_text('{"kind": "judge", "variable": {"name": "digit"}}')
    assert read_description(path, "judge of digit") == read_description(path)
    with pytest.raises(BadFile, match="describes the model judge of digit, not judge of slant; delete it"):
        read_description(path, "judge of slant")
    path.write_text("{}")
    assert read_description(path, "judge of slant") == {}


@pytest.mark.parametrize("text", ["[1, 2]", "", "{", "null"])
def test_damaged_descriptions_are_refused(tmp_path, text):
    path = tmp_path / "model.json"
    with pytest.raises(UserError, match="no such file"):
        read_description(path)
    path.write_text(text)
    with pytest.raises(BadFile, match="delete it"):
        read_description(path)
