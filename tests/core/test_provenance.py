from counterfactory.core.provenance import describe, revision, versions


def test_revision_and_versions():
    assert revision()
    assert versions()["torch"].startswith("2.")
    assert "no-such-package" not in versions(("no-such-package",))
    assert set(describe()) == {"revision", "versions", "machine"}
