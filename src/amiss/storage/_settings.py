"""What a user may set about stores."""

from typing import Annotated

from pydantic import Field

from amiss.settings import Seconds, Settings, from_environment


class StorageSettings(Settings):
    """Reading and writing by URL. Each can be set in the environment: `AMISS_STORAGE_WAIT_S=600`."""

    storage_wait_s: Seconds = 120.0
    """For so long a store that can't be reached, or refuses for the moment, is asked again."""
    storage_cache_mb: Annotated[int, Field(ge=1, le=1 << 24)] = 10240
    """Of the copies in `$AMISS_CACHE/storage`. Those that were not used for the longest time make room."""
    storage_allow: str = ""
    """Beginnings of URLs to which a manifest may lead, besides the store that it lies in, with spaces between them:
    `s3://videos/ https://data.example.org/`."""


def storage_settings() -> StorageSettings:
    """The settings that hold in this process: what its environment says, for the rest the defaults.

    Raises:
        UsageError: a value in the environment makes no sense.
    """
    return from_environment(StorageSettings)
