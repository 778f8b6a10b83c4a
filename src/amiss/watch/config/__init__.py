"""The configuration of `amiss watch`: every setting declared once, and the file it is read from."""
