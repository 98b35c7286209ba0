"""The files of ``scanner/data``, as they lie beside the modules, in a directory or in a zip archive.

``importlib.resources`` reads them too, and loads ``zipfile`` and a dozen more to do so.
"""

from __future__ import annotations

import os
from typing import Final, Protocol, cast


class _Loader(Protocol):
    """What every loader of modules from files or archives can do besides (``importlib.abc.ResourceLoader``)."""

    def get_data(self, path: str, /) -> bytes: ...


_DATA: Final = os.path.join(os.path.dirname(__file__), "data")


def shipped(name: str) -> bytes:
    """The content of a file of ``scanner/data``."""
    return cast(_Loader, __spec__.loader).get_data(os.path.join(_DATA, name))
