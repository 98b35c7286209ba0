"""Write the catalogue as what loads fast: JSON in ``scanner/data``, made from the TOML beside it, which is what people edit.

python scripts/build_catalogue.py            # writes scanner/data/catalogue*.json
python scripts/build_catalogue.py --check    # exit 1 where one is stale

Every process that diagnoses reads the catalogue at its start, and TOML took it 12 ms to parse.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).resolve().parent.parent / "scanner" / "data"


def build(source: Path) -> str:
    """The JSON of one TOML file, in the same order: a code's place is its precedence."""
    return json.dumps(tomllib.loads(source.read_text("utf-8")), indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is stale")
    options = parser.parse_args(arguments)
    made = {source.with_suffix(".json"): build(source) for source in sorted(DATA.glob("catalogue*.toml"))}
    if options.check:
        return 0 if all(file.is_file() and file.read_text("utf-8") == text for file, text in made.items()) else 1
    for file, text in made.items():
        file.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
