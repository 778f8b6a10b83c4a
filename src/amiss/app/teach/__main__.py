"""The process that retrains and calibrates; see `amiss.app.jobs`."""

from amiss.app.jobs import answer
from amiss.app.teach._apart import do

if __name__ == "__main__":
    answer(do)
