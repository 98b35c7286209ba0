"""The files of ``scanner/data``, from a directory or from a zip archive, by whatever loaded the package.

``importlib.resources`` would do, and loads ``zipfile`` and a dozen modules more: 2 to 6 ms of each start, measured.
"""

from __future__ import annotations

import os
from typing import Any, Final

_DATA: Final = os.path.join(os.path.dirname(__file__), "data")


def shipped(name: str) -> bytes:
    """Return the content of a file of ``scanner/data``."""
    loader: Any = __spec__.loader  # of files or archives
    content: bytes = loader.get_data(os.path.join(_DATA, name))
    return content
