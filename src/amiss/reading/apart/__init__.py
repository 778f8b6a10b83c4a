"""Hostile bytes in a process of its own, with bounds on its memory and time: a file that ends it ends nothing else.

Who has a reader that a spoilt file can crash or hang (libav, scipy's of `.mat`) writes it as a function
`work(asker, path, request)`, and asks by `run("its.module:work", …)`. Without bounds (`is_bounded=False`) this is for
work of minutes or hours that is apart to be stopped, or to fail, alone.
"""

from amiss.reading.apart._bounds import DecodeBounds, decode_bounds
from amiss.reading.apart._process import EndedError, Image, Message, NotStartedError, is_used, run, warm_up

__all__ = [
    "DecodeBounds",
    "EndedError",
    "Image",
    "Message",
    "NotStartedError",
    "decode_bounds",
    "is_used",
    "run",
    "warm_up",
]
