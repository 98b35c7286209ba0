"""Write docs/causes.md, the catalogue as a page.

python -m scripts.build_causes            # writes docs/causes.md
python -m scripts.build_causes --check    # exit 1 if the file is stale
"""

from __future__ import annotations

import re
from pathlib import Path

from scanner.diagnosis.catalogue import CAUSES, CODES
from scripts.generated import write_or_check

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
    """Return the page."""
    parts = [HEAD]
    for cause in CAUSES:
        parts.append(f"\n## {cause}\n")
        for code in CODES.values():
            if code.cause != cause:
                continue
            later = "" if code.judged else " *Not judged by this version yet.*"
            parts.append(f"\n### {code.code}\n\n**{code.title}.** {code.severity.capitalize()}.{later}\n")
            remedies = " Or: ".join(code.remedy)
            parts.append(f"\n- *Proof:* {code.proof}.\n- *What to do:* {_general(remedies)}\n")
    return "".join(parts)


def _general(text: str) -> str:
    """Mark the fields of a host."""
    return re.sub(r"\{([a-z_]+)\}", lambda found: f"*{found[1].replace('_', ' ')}*", text)


if __name__ == "__main__":
    write_or_check(__doc__, [(TARGET, build())])
