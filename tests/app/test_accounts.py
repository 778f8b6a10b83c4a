"""Users, sessions and tokens in both kinds of database."""

# what can't be imported skips the tests

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.app.accounts import LoginRefusedError
from amiss.errors import UsageError
from helpers.app import PASSWORD, Application
from helpers.waiting import wait_until

pytest_plugins = ("helpers.databases",)


def test_accounts_in_both_databases(tmp_path: Path, database_url: str) -> None:
    app = Application(tmp_path, url=database_url)
    accounts = app.accounts
    try:
        app.add_user("ada", "reviewer", ["door"])
        with pytest.raises(UsageError, match="there is a user 'ada' already"):
            app.add_user("Ada", "viewer")
        secret, ada = accounts.log_in("ada", PASSWORD, "192.0.2.1", "tests")
        assert accounts.with_session(secret) == ada
        assert (ada.cameras, ada.role) == (frozenset({"door"}), "reviewer")
        token, made = accounts.add_token(ada, "tests", "viewer", 1)
        program = accounts.with_token(token)
        assert program is not None
        assert (program.role, program.token_id) == ("viewer", made.token_id)
        assert accounts.is_valid(program)
        accounts.change_user(ada.user_id, role="viewer", cameras=None, password=None, actor="tests")
        assert not accounts.is_valid(ada)
        assert not accounts.is_valid(program)  # it was let in for one camera
        over, _ = accounts.add_token(ada, "over soon", "viewer", 0.5 / 86400)
        program = accounts.with_token(over)
        assert program is not None
        wait_until(lambda: not accounts.is_valid(program), 5)
        changed = accounts.with_session(secret)
        assert changed is not None
        assert (changed.role, changed.cameras) == ("viewer", None)
        (admin,) = [user for user in accounts.users() if user.role == "admin"]
        with pytest.raises(UsageError, match="only admin"):
            accounts.change_user(admin.user_id, role="viewer", cameras=None, password=None, actor="tests")
        assert [user.role for user in accounts.users()] == ["viewer", "admin"]
        accounts.remove_user(ada.user_id, actor="tests")
        assert accounts.with_session(secret) is None
        assert accounts.with_token(token) is None
        with pytest.raises(LoginRefusedError):
            accounts.log_in("ada", PASSWORD, "192.0.2.1", "tests")
    finally:
        app.close()
