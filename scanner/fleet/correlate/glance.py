"""A glance at a finding: whether there may be anything in it that tells the fleet something. Most findings tell nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def tells(finding: Mapping[str, Any]) -> bool:
    """Whether ``facts_of_finding`` may find anything in it."""
    return "observed" in finding or addresses_tell(finding)


def addresses_tell(finding: Mapping[str, Any]) -> bool:
    """Whether what its addresses answered may tell anything: a server's time, or a certificate that no store trusts."""
    endpoints = finding.get("endpoints")
    for endpoint in endpoints if type(endpoints) is list else ():
        if type(endpoint) is not dict:
            continue
        if "observed" in endpoint:
            observed = endpoint["observed"]
            answers = observed.get("completions") if type(observed) is dict else None
            for answer in answers.values() if type(answers) is dict else ():
                if type(answer) is dict and "date" in answer:
                    return True
        trust = endpoint.get("trust")
        if trust and type(trust) is dict:
            for store in trust.values():
                if type(store) is dict and store.get("trusted"):
                    break
            else:
                return True
    return False
