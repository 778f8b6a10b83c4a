"""The drawn videos, and the tour through everything with them."""

from amiss.demo._tour import DemoResult, run_demo, shuffled_demo_auc
from amiss.demo._videos import DemoSet, make_demo_set

__all__ = ["DemoResult", "DemoSet", "make_demo_set", "run_demo", "shuffled_demo_auc"]
