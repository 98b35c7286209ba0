"""Puts pip into a virtual environment that was made without it.

Debian splits ``ensurepip`` from Python (package python3-venv), so on a machine with only Python and make there is no
pip to begin with. This fetches one wheel, of a known hash, from the package index (PIP_INDEX_URL, else PyPI).

    python scripts/bootstrap_pip.py .venv/bin/python
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

WHEEL = "pip-25.3-py3-none-any.whl"
SHA256 = "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd"
TIMEOUT = 60  # seconds


def fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        content: bytes = response.read()
    return content


def main(interpreter: str) -> None:
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    page = fetch(index).decode("utf-8", "replace")
    link = re.search(rf'href="([^"]*{re.escape(WHEEL)})[#"]', page)
    if link is None:
        raise ValueError(f"{index} does not have {WHEEL}")
    content = fetch(urljoin(index, link[1]))
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"{WHEEL} from {index} is not the file it should be")
    with tempfile.TemporaryDirectory() as directory:
        wheel = Path(directory, WHEEL)
        wheel.write_bytes(content)
        subprocess.run([interpreter, f"{wheel}/pip", "install", "--quiet", "--no-index", str(wheel)], check=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"bootstrap_pip: {error}")
