"""Every error that amiss raises on purpose.

A message says what is wrong, the value seen, and what to do. The command line prints it as one line on stderr.

    AmissError            something failed: exit code 1
    ├── UsageError        the call itself is wrong (unknown name, bad option): exit code 2
    ├── ConfigError       a watcher's configuration file is wrong (message has the line numbers)
    ├── VideoError        a video can't be read or written
    ├── ManifestError     a manifest or annotation file is wrong (message has the line number)
    ├── FeatureError      a feature set is missing, damaged or doesn't fit
    │   └── SpecMismatchError   made with another backbone, weights or preprocessing (message names the field)
    ├── WeightsError      a weight file is missing, damaged or for another network
    ├── DetectorError     a detector or run directory is missing, damaged or incompatible
    ├── EvaluationError   scores and ground truth don't fit together, or a metric is undefined
    ├── StoreError        the watcher's database or spool can't be used
    ├── AlertError        a channel did not take an alert
    └── OutputError       a file can't be written (permissions, disk full)
"""

_LONGEST_ANSWER = 1000
_LONGEST_LINE = 2000  # of a message; characters


def how_to_install(extra: str) -> str:
    """What brings an extra of this package. By its name alone, pip might fetch a package of somebody else."""
    return f"pip install -c constraints.txt '.[{extra}]' in the folder of amiss"


def showable(text: str, most: int | None = None) -> str:
    """`text` as one line that can be shown and stored: what is no text (in a file's name), or not printable, is written
    as Python does (`\\x1b`).

    Args:
        text: any.
        most: characters that are shown at most; … stands for the rest. None: all.
    """
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in (text if most is None else text[: most + 1]))
    return line if most is None or len(line) <= most else f"{line[:most]}…"


def _short(line: str) -> str:
    line = showable(line)
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[: _LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 4 :]}"  # the end says what to do


class Notice(UserWarning):
    """Something worth knowing that is no fault: what takes long and why, or goes another way with the same result."""


class AmissError(Exception):
    """Base of all errors raised on purpose. Its text can be shown, whatever it repeats of a file or a name: printable,
    and of a line that is too long the middle is left out."""

    exit_code = 1
    transient: bool = False
    """Whether trying the same again may help after a while: a store doesn't answer."""

    def __str__(self) -> str:
        return "\n".join(map(_short, super().__str__().split("\n")))


class UsageError(AmissError, ValueError):
    """The call itself is wrong: an unknown name, an option out of range."""

    exit_code = 2


class ConfigError(AmissError):
    """A watcher's configuration file is wrong."""


class VideoError(AmissError):
    """A video can't be read or written."""


class ManifestError(AmissError):
    """A manifest or annotation file is wrong."""


class FeatureError(AmissError):
    """A feature set is missing, damaged or doesn't fit."""


class SpecMismatchError(FeatureError):
    """Features were made with another backbone, weights or preprocessing."""


class WeightsError(AmissError):
    """A weight file is missing, damaged or for another network."""


class DetectorError(AmissError):
    """A detector or run directory is missing, damaged or incompatible."""


class EvaluationError(AmissError):
    """Scores and ground truth don't fit together, or a metric is undefined."""


class StoreError(AmissError):
    """The watcher's database or spool can't be used."""


class AlertError(AmissError):
    """A channel did not take an alert. The message may hold what a server said: one line of printable text is left."""

    permanent: bool
    """Whether sending it again can't help."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(showable(" ".join(message.split()), _LONGEST_ANSWER - 1))
        self.permanent = permanent


class OutputError(AmissError, OSError):
    """A file can't be written."""
