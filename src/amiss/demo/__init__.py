"""The drawn videos, and the tour through everything with them."""

from amiss.demo._set import DemoSet, make_demo_set
from amiss.demo._tour import DemoResult, run_demo, shuffled_demo_auc

__all__ = ["DemoResult", "DemoSet", "make_demo_set", "run_demo", "shuffled_demo_auc"]
