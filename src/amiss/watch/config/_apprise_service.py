"""Services of Apprise, read from their URL. Connects nothing."""

import logging
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its PGP support looks for imghdr
    import apprise
    import apprise.plugins.email.base
    from apprise.plugins import N_MGR

from amiss.errors import UsageError
from amiss.registry import closest

# our dispatcher retries; a call that Apprise abandons after its own time might still arrive
_ASSET = apprise.AppriseAsset(
    app_id="amiss", app_desc="amiss", app_url="", async_mode=False, service_timeout=0, pgp_autogen=False,
    http_redirects=False,
)  # fmt: skip
logging.getLogger("apprise").propagate = False  # what it says comes back as a result, and is cleaned there


def service_of(url: str) -> Any:
    """Apprise's service of a URL; connects nothing.

    Raises:
        UsageError: Apprise has no such service, or can't read the URL; the message has none of its secrets.
    """
    scheme = url.partition("://")[0].lower()
    schemes: list[str] = N_MGR.schemas()  # type: ignore[no-untyped-call]
    if scheme not in schemes:
        close = closest(scheme, schemes)
        raise UsageError(f"Apprise has no service {scheme}://{f'; did you mean {close[0]}://?' if close else ''}")
    service = apprise.Apprise.instantiate(url, asset=_ASSET)
    if service is None:
        raise UsageError(f"Apprise can't use this {scheme}:// URL; see its page on the service")
    return service
