"""A user id without a name."""

import getpass
import os
import pwd

import pytest

from counterfactory.core.user import name_user

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


def test_an_unknown_user_id_gets_a_name(monkeypatch):
    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    name_user()
    assert getpass.getuser() == f"uid{os.getuid()}"


def test_a_known_name_is_kept(monkeypatch):
    monkeypatch.setenv("LOGNAME", "somebody")
    name_user()
    assert os.environ["LOGNAME"] == "somebody"
