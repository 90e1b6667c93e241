"""Tables state which models were imported, from which file and with which options."""

from counterfactory.report.imported import imported_notes


def test_only_imported_models_have_a_note():
    origin = {
        "file": "celeba.pt",
        "sha256": "ab" * 32,
        "options": {"num_heads": 4, "new": False, "outputs": list("abcdef")},
    }
    notes = imported_notes({"ddpm": {"imported": origin}, "vae": {"training": {"seconds": 3}}})
    assert notes == (
        f"ddpm: not trained here; weights imported from celeba.pt (SHA-256 {'ab' * 32}; num_heads: 4, new: false, "
        "outputs: a, b, c, d and 2 more).",
    )


def test_options_that_were_not_confirmed_are_named():
    meta = {"imported": {"file": "x.pt", "sha256": "ab"}, "denoising_error": {"note": "the options are open"}}
    assert imported_notes({"ddpm": meta})[0].endswith("(SHA-256 ab). The options are open.")
