"""Random fault injection into scans of a farm whose every answer is known: ``python -m tests.torture --help``.

| module | content |
| --- | --- |
| `rows` | the rows of an inventory and the true finding of each |
| `cases` | the faults, and the case of a seed and a number: what happens, when, for how long |
| `truth_check` | findings compared with the truth: false, not judged, lost, doubled, damaged |
| `table` | the report |
| `namespaces` | namespaces for the harness, so that it leaves nothing behind, and for each scanner |
| `farm`, `smtp`, `hostile`, `resolver` | the servers |
| `scanner_process` | a scanner under observation: start, progress, signals, exit |
| `injection` | how each fault is injected |
| `case_run` | one case from the first start to the last ``--resume`` |

Everything runs in its own mount, network and process namespaces: whatever ends the harness also ends its servers,
scanners, links and mounts, and nothing in it can reach the Internet.
"""
