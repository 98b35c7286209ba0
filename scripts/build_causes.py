"""Write docs/causes.md, the catalogue as a page to read.

python scripts/build_causes.py            # writes docs/causes.md
python scripts/build_causes.py --check    # exit 1 where the file is stale
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from scanner.diagnosis.catalogue import CAUSES, CODES

TARGET = Path(__file__).resolve().parent.parent / "docs" / "causes.md"

HEAD = """# The fifteen causes and their codes

This page is made from `scanner/data/catalogue.toml` by `scripts/build_causes.py`.

A diagnosis is a **code** (what was seen), which belongs to one **cause**. A code is given only on evidence, and the
evidence stands in the finding. Its severity is

- **error** where, with default settings, at least one of Chrome, Firefox, Safari (for `tls` and `https`), OpenSSL and
  curl, Go or Java refuses the connection, or what it gets is not the service;
- **warning** where those accept, but others refuse, or it breaks soon, or some of several addresses fail;
- **note** where it is worth knowing.

Causes stand here in order of precedence, which is the order in which a connection meets them. All that is true of a
target is listed in its finding; the first error names the finding's `cause`.

A finding that was not fully judged: where tlsweep itself failed on a part of it (a rule, a follow-up, an enquiry), or
contacted no address, the finding's `error` says what happened. No code is invented for that, and none that was proved is
lost: an expired certificate stays `certificate-expired`, `fail`. Where nothing is wrong as far as is known, the outcome is
`warn` and `cause` is `null`, since what was not judged must not count as in order; `--fail-on any` matches it.
"""


def build() -> str:
    """The page."""
    parts = [HEAD]
    for cause in CAUSES:
        parts.append(f"\n## {cause}\n")
        for code in CODES.values():
            if code.cause != cause:
                continue
            later = "" if code.judged else " *Not judged by this version yet.*"
            parts.append(f"\n### {code.code}\n\n**{code.title}.** {code.severity.capitalize()}.{later}\n")
            parts.append(f"\n- *Proof:* {code.proof}.\n- *What to do:* {_general(code.remedy)}\n")
    return "".join(parts)


def _general(text: str) -> str:
    """Fields of a host shown as such."""
    return re.sub(r"\{([a-z_]+)\}", lambda found: f"*{found[1].replace('_', ' ')}*", text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is stale")
    options = parser.parse_args(arguments)
    text = build()
    if options.check:
        return 0 if TARGET.is_file() and TARGET.read_text("utf-8") == text else 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
