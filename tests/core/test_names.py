import subprocess
from pathlib import Path

import pytest

from counterfactory.core.names import nearest, unknown_name

PACKAGE = Path(__file__).parents[2] / "src" / "counterfactory"
NAMES = ("vae", "hvae", "copy")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("hvea", "hvea: no such method; did you mean 'hvae'? (choose from vae, hvae, copy)"),
        (
            "methods: hvea",
            "methods: hvea: no such method; did you mean 'hvae'? (choose from vae, hvae, copy)",
        ),
        ("xyz", "xyz: no such method; choose from vae, hvae, copy"),
        ("", "'': no such method; choose from vae, hvae, copy"),
        ("a\nb\x00", "a\\x0ab\\x00: no such method; choose from vae, hvae, copy"),
        ("ø", "ø: no such method; choose from vae, hvae, copy"),
    ],
)
def test_a_wrong_name_is_one_line_with_the_nearest_name(name, remedy):
    assert str(unknown_name(name, "no such method", NAMES)) == remedy


def test_long_names_and_lists_are_cut():
    assert len(str(unknown_name("x" * 100_000, "no such method", NAMES))) < 120
    assert nearest("x", []) == "choose from none"
    assert nearest("99", map(str, range(100))).endswith("39 and 60 more)")


def test_no_other_module_looks_for_the_nearest_name():
    found = subprocess.run(
        ["grep", "-rl", "get_close_matches", "--include=*.py", "."],
        capture_output=True,
        text=True,
        cwd=PACKAGE,
    ).stdout.split()
    assert found == ["./core/names.py"]
