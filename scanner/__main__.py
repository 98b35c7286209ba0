"""``python -m scanner`` is ``tlsweep``. Signals and streams are seen to before the modules of the command line are loaded."""

from __future__ import annotations

import sys

from scanner import signals, streams


def run() -> int:
    """The whole process; returns its exit status."""
    streams.prepare()
    try:
        signals.install()
        from scanner.cli import main

        return main()
    except KeyboardInterrupt:  # while modules are loaded, or after the command has ended
        sys.stderr.write("tlsweep: interrupted\n")
        return signals.INTERRUPTED
    finally:
        signals.ignore()


if __name__ == "__main__":
    sys.exit(run())
