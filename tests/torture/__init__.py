"""Faults injected at random into scans of a farm whose every answer is known: ``python -m tests.torture --help``.

| module | what is in it |
| --- | --- |
| `rows` | the rows of an inventory and the true finding of each |
| `cases` | the faults, and the case of a seed and a number: what happens, when, for how long |
| `judging` | findings compared with the truth: false, not judged, lost, doubled, damaged |
| `table` | the report |
| `namespaces` | the harness in namespaces of its own, so that it leaves nothing behind; the link of each scanner |
| `farm`, `smtp`, `hostile`, `resolver` | the servers |
| `running` | a scanner under observation: start, progress, signals, end |
| `injecting` | how each fault is done to it |
| `playing` | one case from the first start to the last ``--resume`` |

Everything runs in mount, network and process namespaces of its own: whatever ends the harness ends its servers,
scanners, links and mounts too, and nothing of it can reach the Internet.
"""
