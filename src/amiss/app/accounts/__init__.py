"""Who may do what: users and their roles, passwords, sessions of browsers, tokens of programs."""

from amiss.app.accounts._accounts import Accounts, LoginRefusedError, TooManyAttemptsError
from amiss.app.accounts._identity import LOCAL_ADMIN, ROLES, Identity
from amiss.app.accounts._passwords import LEAST_PASSWORD, MOST_PASSWORD, Passwords

__all__ = [
    "LEAST_PASSWORD",
    "LOCAL_ADMIN",
    "MOST_PASSWORD",
    "ROLES",
    "Accounts",
    "Identity",
    "LoginRefusedError",
    "Passwords",
    "TooManyAttemptsError",
]
