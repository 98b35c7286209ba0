"""The files of ``scanner/data``, from a directory or from a zip archive, by whatever loaded the package.

``importlib.resources`` would do, and loads ``zipfile`` and a dozen modules more: 2 to 6 ms of each start, measured.
"""

from __future__ import annotations

import os
from typing import Final, Protocol, cast


class _Loader(Protocol):
    """A loader of modules from files or archives (``importlib.abc.ResourceLoader``)."""

    def get_data(self, path: str, /) -> bytes: ...


_DATA: Final = os.path.join(os.path.dirname(__file__), "data")


def shipped(name: str) -> bytes:
    """Return the content of a file of ``scanner/data``."""
    return cast(_Loader, __spec__.loader).get_data(os.path.join(_DATA, name))
