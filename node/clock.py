"""Wall time, in unix seconds, as a function that is handed down: tests hand down another."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def wall_clock() -> int:
    """Tell the machine's time."""
    return int(time.time())
