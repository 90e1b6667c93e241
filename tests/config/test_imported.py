"""Models whose weights are named in the configuration are imported, not trained."""

import pytest

from counterfactory.config import load_settings
from counterfactory.config.imported import imports_of
from counterfactory.core.errors import UserError


def test_named_files_are_imported(tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"")
    settings = load_settings(
        {
            "models": {"hvae": {"weights": str(file), "options": {"parents_x": "digit,thickness,intensity"}}},
            "judges": {
                "weights": {"thickness": str(file)},
                "options": {"thickness": {"context": "intensity"}},
            },
        }
    )
    found = imports_of(settings)
    assert set(found) == {"hvae", "judges/thickness"}
    assert found["hvae"].options == {"parents_x": "digit,thickness,intensity"}
    assert found["judges/thickness"].options == {"context": "intensity"}
    assert not imports_of(load_settings({}))


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"models": {"vae": {"weights": "nowhere.pt"}}}, "models.vae.weights: nowhere.pt is no file"),
        (
            {"models": {"ddpm": {"options": {"num_heads": 4}}}},
            "models.ddpm.options are set, but models.ddpm.weights",
        ),
        (
            {"judges": {"options": {"thickness": {"context": "intensity"}}}},
            "judges.options.thickness is set, but judges.weights names no file for it",
        ),
        ({"oracle": {"options": {"size": 64}}}, "oracle.options are set, but oracle.weights is null"),
        *(
            (
                {"models": {name: {"options": {"size": 64}}}},
                f"models.{name}.options are set, but models.{name}.weights",
            )
            for name in ("vae", "hvae", "classifier")
        ),
        (
            {"models": {"vae": {"weights": "~nobody-of-this-name/x.pt"}}},
            "models.vae.weights: ~nobody-of-this-name/x.pt is no file",
        ),
        ({"judges": {"weights": {"shape": "x"}}}, "judges.weights.shape: morphomnist has no variable shape"),
        ({"models": {"vae": {"weights": ""}}}, "models.vae.weights"),
    ],
)
def test_what_cannot_be_imported_is_refused_before_planning(section, line):
    with pytest.raises(UserError, match=line):
        load_settings(section)


def test_options_of_judges_need_a_file_for_each_variable(tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"")
    judges = {"weights": {"digit": str(file)}, "options": {"thickness": {"low": 1}, "digit": {}}}
    with pytest.raises(UserError, match="judges.options.thickness is set, but judges.weights names no file"):
        load_settings({"judges": judges})


@pytest.mark.parametrize("value", [None, {"a": 1}, [1, 2]])
def test_an_option_of_another_type_is_refused(tmp_path, value):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"")
    with pytest.raises(UserError, match="models.ddpm.options.num_heads"):
        load_settings({"models": {"ddpm": {"weights": str(file), "options": {"num_heads": value}}}})


def test_sizes_of_an_imported_network_are_not_checked(tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"")
    wrong = {"network": {"resolutions": [64, 8, 4, 1]}}
    with pytest.raises(UserError, match="resolutions"):
        load_settings({"models": {"hvae": wrong}})
    assert load_settings({"models": {"hvae": wrong | {"weights": str(file)}}})
