"""Make scanner/data/ct-logs.json from a log list of version 3. For a maintainer; the program itself never runs this.

    python scripts/build_ct_logs.py all_logs_list.json

Takes Google's list, or one with what Apple says in ``x_apple_state`` and with ``x_derived`` naming the fields that were not
published but guessed. Kept is what judging needs; a temporal interval that was guessed is left out.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "scanner" / "data" / "ct-logs.json"


def compact(log: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a log that verification needs. Raises ``ValueError`` if its id is not that of its key."""
    if base64.b64encode(hashlib.sha256(base64.b64decode(log["key"])).digest()).decode() != log["log_id"]:
        raise ValueError(f"{log['description']}: the id is not the hash of the key")
    kept = {name: log[name] for name in ("description", "log_id", "key")}
    for name in ("state", "x_apple_state"):
        for state, entry in log.get(name, {}).items():
            timestamp = entry.get("timestamp")
            kept[name] = {state: {"timestamp": timestamp} if timestamp else {}}
    if "temporal_interval" in log and "temporal_interval" not in log.get("x_derived", ()):
        kept["temporal_interval"] = log["temporal_interval"]
    if "previous_operators" in log:
        kept["previous_operators"] = log["previous_operators"]
    if "log_type" in log:
        kept["log_type"] = log["log_type"]
    return kept


def main() -> int:
    """Read the list given as argument and write the one that is shipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    source = json.loads(parser.parse_args().source.read_bytes())
    operators = []
    count = 0
    for operator in sorted(source["operators"], key=lambda item: str(item["name"]).lower()):
        made: dict[str, Any] = {"name": operator["name"]}
        for kind in ("logs", "tiled_logs"):
            made[kind] = sorted(
                (compact(log) for log in operator.get(kind, ())), key=lambda log: (log["description"], log["log_id"])
            )
            count += len(made[kind])
        operators.append(made)
    # One log per line, so that a newer list gives a small diff.
    lines = ["{", f' "log_list_timestamp": {json.dumps(source["log_list_timestamp"])},', ' "operators": [']
    for number, operator in enumerate(operators):
        lines.append(f'  {{"name": {json.dumps(operator["name"], ensure_ascii=False)},')
        for kind, end in (("logs", ","), ("tiled_logs", "}" + ("," if number + 1 < len(operators) else ""))):
            logs = [json.dumps(log, ensure_ascii=False, separators=(",", ":")) for log in operator[kind]]
            listed = "\n    " + ",\n    ".join(logs) if logs else ""
            lines.append(f'   "{kind}": [{listed}]{end}')
    lines += [" ]", "}"]
    text = "\n".join(lines) + "\n"
    json.loads(text)
    TARGET.write_text(text, encoding="utf-8")
    print(f"{TARGET.name}: {count} logs of {len(operators)} operators, as of {source['log_list_timestamp']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
