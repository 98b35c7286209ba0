"""Runs a command under the system call filters of a systemd unit: SystemCallFilter= and MemoryDenyWriteExecute=.

python -m tests.helpers.sandbox UNIT COMMAND...

The filters are made by libseccomp, as systemd makes them (src/shared/seccomp-util.c there): what is not in the list fails with
EPERM, and so does memory that is to be writable and executable, or to become executable later.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import mmap
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

# seccomp.h
ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050000 | errno.EPERM
MASKED_EQUAL: Final = 7
SHM_EXEC: Final = 0o100000


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``: an argument's number, how to compare it, a mask, and the value."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def missing() -> str | None:
    """Return what this machine lacks for it."""
    if ctypes.util.find_library("seccomp") is None:
        return "libseccomp is not installed"
    return None if shutil.which("systemd-analyze") else "systemd-analyze is not installed"


def settings(unit: str, name: str) -> list[str]:
    """Return the values of a setting of a unit, in order."""
    return re.findall(rf"(?m)^{name}=(.*)$", unit)


def system_calls(group: str) -> set[str]:
    """Return the system calls of a group such as ``@system-service``, those of the groups in it included."""
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, timeout=30, check=True
    )
    words = [line.strip() for line in done.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in (system_calls(word) if word.startswith("@") else (word,))}


def allowed(unit: str) -> set[str]:
    """Return the system calls that a unit allows."""
    calls: set[str] = set()
    for value in settings(unit, "SystemCallFilter"):
        for group in value.removeprefix("~").split():
            calls = calls - system_calls(group) if value.startswith("~") else calls | system_calls(group)
    return calls


def confine(unit: str) -> None:
    """Put this process, and all that it starts, under the filters of a unit."""
    calls = allowed(unit)
    library = ctypes.CDLL(ctypes.util.find_library("seccomp"), use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p
    ]  # fmt: skip

    def add(context: Any, action: int, call: str, *compare: _Comparison) -> None:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # those of other architectures have no number here
            array = (_Comparison * len(compare))(*compare)
            assert library.seccomp_rule_add_array(context, action, number, len(compare), array) == 0, call

    if settings(unit, "MemoryDenyWriteExecute") == ["yes"]:
        context = library.seccomp_init(ALLOW)
        both = mmap.PROT_WRITE | mmap.PROT_EXEC
        add(context, REFUSE, "mmap", _Comparison(2, MASKED_EQUAL, both, both))
        for call in ("mprotect", "pkey_mprotect"):
            add(context, REFUSE, call, _Comparison(2, MASKED_EQUAL, mmap.PROT_EXEC, mmap.PROT_EXEC))
        add(context, REFUSE, "shmat", _Comparison(2, MASKED_EQUAL, SHM_EXEC, SHM_EXEC))
        assert library.seccomp_load(context) == 0
    context = library.seccomp_init(REFUSE)
    for call in sorted(calls):
        add(context, ALLOW, call)
    assert library.seccomp_load(context) == 0


if __name__ == "__main__":
    confine(Path(sys.argv[1]).read_text("utf-8"))
    os.execvp(sys.argv[2], sys.argv[2:])
