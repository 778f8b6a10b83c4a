"""The application: see, review, teach, over the watcher's store; `amiss serve`.

The names below are imported when they are first used, so that a wrong command line is told before torch is loaded.
"""

import typing

from amiss.watch import _extras

if typing.TYPE_CHECKING:
    from amiss.app._service import AppService, MediaService, media_database, new_password

__all__ = ["AppService", "MediaService", "media_database", "new_password"]


def __getattr__(name: str) -> typing.Any:
    if name not in __all__:
        raise AttributeError(f"module 'amiss.app' has no attribute {name!r}")
    return _extras.import_name("amiss.app._service", name)
