"""Real servers from Debian's packages, started on loopback for the tests (see README.md)."""
