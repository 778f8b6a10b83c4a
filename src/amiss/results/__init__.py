"""Results of `amiss detect`, read back from their folder and shown as a page."""

from amiss.results._page import ShownVideo, write_results_page
from amiss.results._read import ResultsFolder, read_results
from amiss.results._stretches import Stretches, stretches_of

__all__ = ["ResultsFolder", "ShownVideo", "Stretches", "read_results", "stretches_of", "write_results_page"]
