"""Retraining and calibration as jobs, in a process of their own."""

from amiss.app.teach._ask import ask_calibrate, ask_retrain

__all__ = ["ask_calibrate", "ask_retrain"]
