"""Convert the catalogue, which is edited as TOML, to JSON in ``scanner/data``, which loads faster.

python -m scripts.build_catalogue            # writes scanner/data/catalogue*.json
python -m scripts.build_catalogue --check    # exit 1 if one is stale

Every process that diagnoses reads the catalogue when it starts, and parsing the TOML took 12 ms.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Final

from scripts.generated import write_or_check

DATA: Final = Path(__file__).resolve().parent.parent / "scanner" / "data"


def build(source: Path) -> str:
    """Return the JSON of a TOML file in the same order, which is the precedence of the codes."""
    return json.dumps(tomllib.loads(source.read_text("utf-8")), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_or_check(
        __doc__, ((source.with_suffix(".json"), build(source)) for source in sorted(DATA.glob("catalogue*.toml")))
    )
