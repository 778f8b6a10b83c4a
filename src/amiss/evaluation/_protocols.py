"""Protocols: the rules by which different papers turn scores and annotations into frame scores and frame labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from amiss.registry import Registry


@dataclass(frozen=True)
class Protocol:
    """One rule. Rules differ in how many frames count, which of them are anomalous, and which are never scored."""

    id: str
    """As users type it."""
    dataset: str
    """Which dataset it is of; `any` = every."""
    summary: str
    """The rule in a line."""
    length: Literal["decoded", "ceil16", "floor16", "wu16"] = "decoded"
    """Frames that count: all decoded ones, or whole 16-frame clips (rounded up, rounded down, as in Wu's features)."""
    labels: Literal["half-open", "inclusive", "one-based", "repeat-last"] = "half-open"
    """How annotations become frame labels."""
    spread: Literal["all", "ekosman", "matlab"] = "all"
    """Which frames get a score; those left out have 0."""


_PROTOCOLS = (
    Protocol("exact", "any", "every decoded frame has a score and a label"),
    Protocol("ucf/rtfm-ceil16", "UCF-Crime", "whole clips, padded; event ends inclusive (RTFM)", "ceil16", "inclusive"),
    Protocol("ucf/wu-floor16", "UCF-Crime", "whole clips of Wu's features (UR-DMU, PEL4VAD, SAA)", "wu16"),
    Protocol("ucf/ekosman-32", "UCF-Crime", "32 segments of L // 32 frames, the rest scored 0", spread="ekosman"),
    Protocol(
        "ucf/sultani-matlab",
        "UCF-Crime",
        "32 segments of whole clips, the last clip scored 0, events counted from 1",
        labels="one-based",
        spread="matlab",
    ),
    Protocol("xd/wu-floor16", "XD-Violence", "whole clips of Wu's features", "wu16"),
    Protocol("sht/rtfm", "ShanghaiTech", "whole clips, padded by repeating the last label", "ceil16", "repeat-last"),
    Protocol("sht/bameri-floor16", "ShanghaiTech", "whole clips only", "floor16"),
    Protocol("avenue/bameri-floor16", "CUHK Avenue", "whole clips only", "floor16"),
    Protocol("ped2/bameri-floor16", "UCSD Ped2", "whole clips only", "floor16"),
)
PROTOCOLS: Mapping[str, Protocol] = {protocol.id: protocol for protocol in _PROTOCOLS}
"""Id → protocol."""
ALIASES: Mapping[str, str] = {f"{name}/exact": "exact" for name in ("ucf", "xd", "sht", "avenue", "ped1", "ped2")}
"""Other ids of protocols → the id that they stand for."""
_BY_NAME: Registry[Protocol] = Registry(
    "protocol", {**PROTOCOLS, **{alias: PROTOCOLS[protocol_id] for alias, protocol_id in ALIASES.items()}}
)


def get_protocol(protocol_id: str) -> Protocol:
    """The protocol of an id or alias.

    Raises:
        UsageError: there is none of this name.
    """
    return _BY_NAME[protocol_id]
