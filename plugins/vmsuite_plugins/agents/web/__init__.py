"""The page that tells what input a guest's browser gets."""

import functools
from importlib import resources


@functools.cache
def page() -> bytes:
    """Return the page, whole: nothing else is to be fetched."""
    return resources.files(__name__).joinpath("page.html").read_bytes()
