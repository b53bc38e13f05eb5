"""Child processes that do not outlive this program, however it ends: local chains, farmers of the demo.

On Linux the kernel is asked to kill the child when its parent dies (prctl PR_SET_PDEATHSIG, which exec
keeps). To the kernel the parent is the thread that forked, so one thread that lives as long as the program
does it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Final

_DIE_WITH_PARENT: Final = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs first in the child's process, then becomes the child."""
_launcher: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")


def spawn(
    command: Sequence[str],
    output: IO[bytes],
    *,
    environment: Mapping[str, str] | None = None,
    detached: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a program, both its streams into `output`. `detached`: it outlives this one. Raises OSError."""
    prelude = [] if detached else [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
    return _launcher.submit(
        subprocess.Popen,
        [*prelude, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=detached,
    ).result()
