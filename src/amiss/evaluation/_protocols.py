"""Protocols: the rules by which different papers turn scores and annotations into frame scores and frame labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from amiss.errors import UsageError


@dataclass(frozen=True)
class Protocol:
    """One rule. Rules differ in how many frames count, which of them are anomalous, and which are never scored."""

    id: str
    summary: str
    dataset: str
    length: Literal["decoded", "ceil16", "floor16", "wu16"] = "decoded"
    """Frames that count: all decoded ones, or whole 16-frame clips (rounded up, rounded down, as in Wu's features)."""
    labels: Literal["half-open", "inclusive", "one-based", "repeat-last"] = "half-open"
    """How annotations become frame labels."""
    spread: Literal["all", "ekosman", "matlab"] = "all"
    """Which frames get a score; those left out have 0."""


_PROTOCOLS = (
    Protocol("exact", "every decoded frame has a score and a label", "any"),
    Protocol("ucf/rtfm-ceil16", "padded to whole clips, event ends inclusive (RTFM)", "UCF-Crime", "ceil16", "inclusive"),
    Protocol("ucf/wu-floor16", "whole clips only, as many as Wu's features have (UR-DMU, PEL4VAD, SAA)", "UCF-Crime", "wu16"),
    Protocol("ucf/ekosman-32", "32 segments of L // 32 frames, the rest scored 0 (ekosman)", "UCF-Crime", spread="ekosman"),
    Protocol(
        "ucf/sultani-matlab",
        "32 segments of whole clips, last clip scored 0, events from 1 (Sultani's MATLAB script)",
        "UCF-Crime",
        labels="one-based",
        spread="matlab",
    ),
    Protocol("xd/wu-floor16", "whole clips only, as many as Wu's features have", "XD-Violence", "wu16"),
    Protocol("sht/rtfm", "padded to whole clips by repeating the last label (RTFM)", "ShanghaiTech", "ceil16", "repeat-last"),
    Protocol("sht/bameri-floor16", "whole clips only (Bameri)", "ShanghaiTech", "floor16"),
    Protocol("avenue/bameri-floor16", "whole clips only (Bameri)", "CUHK Avenue", "floor16"),
    Protocol("ped2/bameri-floor16", "whole clips only (Bameri)", "UCSD Ped2", "floor16"),
)
PROTOCOLS: Mapping[str, Protocol] = {protocol.id: protocol for protocol in _PROTOCOLS}
ALIASES: Mapping[str, str] = {f"{name}/exact": "exact" for name in ("ucf", "xd", "sht", "avenue", "ped1", "ped2")}


def get_protocol(protocol_id: str) -> Protocol:
    """The protocol of an id or alias.

    Raises:
        UsageError: there is none of this name.
    """
    protocol = PROTOCOLS.get(ALIASES.get(protocol_id, protocol_id))
    if protocol is None:
        raise UsageError(f"protocol {protocol_id!r} is unknown; there are {', '.join([*PROTOCOLS, *ALIASES])}")
    return protocol
