"""Jobs that people start from pages: one at a time, with progress, in processes of their own."""

from amiss.app.jobs._apart import Told, answering, run_apart
from amiss.app.jobs._jobs import Job, Jobs, JobState, StoppedError, Work

__all__ = ["Job", "JobState", "Jobs", "StoppedError", "Told", "Work", "answering", "run_apart"]
