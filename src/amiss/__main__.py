"""`python -m amiss`."""

from amiss.cli import main

main()
