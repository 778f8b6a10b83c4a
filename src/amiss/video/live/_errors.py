"""How a live source's connection or file is lost."""

import errno

import av

# What libav hands on from the system. Others that look like it (EINVAL, EPERM, ENOMEM) are also its words for damage.
_OF_THE_SYSTEM = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES", "ECONNABORTED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "EIO", "EMFILE", "ENETDOWN", "ENETUNREACH",
        "ENFILE", "ENODEV", "ENOENT", "ENOTCONN", "ENXIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT",
    )
    if hasattr(errno, name)
)  # fmt: skip


class LostError(Exception):
    """The connection, or the rest of a file, is no good any more. The text says why."""

    stalled = False


class StalledError(LostError):
    """The connection stands but gives nothing."""

    stalled = True


def is_read_error(error: BaseException | None) -> bool:
    """Whether the system couldn't read (rights, a disk or share that fails); else what was read is damaged."""
    if isinstance(error, av.FFmpegError):
        return error.errno in _OF_THE_SYSTEM
    return isinstance(error, OSError)
