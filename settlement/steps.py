"""Steps: commits, messages, answers and broadcasts, each of which somebody relies on once it is done.

All of them pass `reach`, before and after. It does nothing, unless the environment says where this process is
to die: then it ends itself by SIGKILL there, as by a power cut. So each crash there can be is tried.

    TITHEBARN_DIE_AT="after commit node.renter.funding 212-212 1"

names the moment, the kind of step, who takes it (module and lines, or the name of a route's handler and "-")
and at which time of passing; "*" stands for any. `"* * * - 37"` dies at the 37th moment of whatever kind.
"""

import os
import signal
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn

VARIABLE: Final = "TITHEBARN_DIE_AT"
ANY: Final = "*"


class Kind(StrEnum):
    """What is done."""

    COMMIT = "commit"
    SEND = "send"
    ANSWER = "answer"
    BROADCAST = "broadcast"


class Moment(StrEnum):
    """Whether it is about to be done, or was done a moment ago and nobody has heard of it."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who takes a step: module and line, or the name of a handler and line 0."""

    name: str
    line: int = 0


class _Death:
    """Where this process is to die, and how often it may still pass there."""

    def __init__(self, text: str) -> None:
        self.moment, self.kind, self.name, lines, times = text.split()
        first, _, last = lines.partition("-")
        self.lines = range(int(first), int(last) + 1) if first else None
        self.left = int(times)

    def is_near(self, kind: Kind, moment: Moment, origin: Origin) -> bool:
        """Whether a step is one to die at; counts it."""
        here = (
            self.moment in {ANY, moment}
            and self.kind in {ANY, kind}
            and self.name in {ANY, origin.name}
            and (self.lines is None or origin.line in self.lines)
        )
        self.left -= here
        return here and self.left == 0


_death: _Death | None = None


def arm(text: str | None) -> None:
    """Choose where to die; None: nowhere."""
    global _death  # noqa: PLW0603 - a process dies once
    _death = _Death(text) if text else None


def origin(passing: str | None = None) -> Origin | None:
    """Find out who has called the caller of this, outside of the module `passing`; None where nobody asks."""
    if _death is None:
        return None
    frame = sys._getframe(2)  # noqa: SLF001 - what inspect does at length
    while passing is not None and frame.f_globals["__name__"] == passing and frame.f_back is not None:
        frame = frame.f_back
    return Origin(frame.f_globals["__name__"], frame.f_lineno)


def reach(kind: Kind, moment: Moment, *origins: Origin | None) -> None:
    """Pass a moment of a step that these take together."""
    if _death is None:
        return
    near = [_death.is_near(kind, moment, one) for one in origins if one is not None]  # each counts
    if any(near):
        _die()


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit  # the signal was quicker


arm(os.environ.get(VARIABLE))
