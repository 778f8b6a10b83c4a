"""Text that people or log files will see: without credentials."""

import re

_HIDDEN = "***"
# Greedy up to the last @ of the word: passwords with @ or / in them are hidden whole, at the price of hiding a host
# whose path has an @.
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]*:/{1,3})[^\s\"<>]*@", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(
    r"([?&;](?:[\w-]*(?:user|usr|login|pass|pwd|token|secret|signature|auth|api_?key|credential)[\w-]*|key|sig)=)"
    r"[^\s&;\"'<>#]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """`text` with the credentials of every URL in it replaced by `***`.

    User and password before the host go, also where the password has a raw `@` or `/`; so do the values of query
    parameters that look like credentials (`user`, `pwd`, `token`, …).
    """
    return _SECRET_PARAMETER.sub(rf"\1{_HIDDEN}", _USER_INFO.sub(rf"\1{_HIDDEN}@", text))
