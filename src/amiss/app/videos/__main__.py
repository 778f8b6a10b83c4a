"""The process that scores videos, and cuts and marks them; see `amiss.app.jobs`."""

from amiss.app.jobs import answer
from amiss.app.videos._apart import do

if __name__ == "__main__":
    answer(do)
