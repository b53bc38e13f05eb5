"""Where passwords come from: a descriptor, a file, or the person at the terminal. Never an argument.

In this order: `--password-fd N`, `--password-file FILE`, the file named by TITHE_PASSWORD_FILE, a hidden
prompt. A password is the first line of its file, without the line's end; a new one is asked for twice.
"""

import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from node.cli.errors import NoPassword, PasswordsDiffer, PasswordUnreadable

VARIABLE = "TITHE_PASSWORD_FILE"
_TRIES = 3
_LONGEST = 4096
T = TypeVar("T")


class Passwords:
    """The passwords of one command. A file or descriptor is read once and serves all its keys."""

    __slots__ = ("_descriptor", "_file", "_given")

    def __init__(self, file: Path | None = None, descriptor: int | None = None) -> None:
        named = os.environ.get(VARIABLE)
        self._file = file or (Path(named).expanduser() if named else None)
        self._descriptor = descriptor
        self._given: str | None = None

    @property
    def prompted(self) -> bool:
        """Whether a person would be asked."""
        return self._file is None and self._descriptor is None

    def choose(self, what: str) -> str:
        """Return the password for something new, asked for twice; once for all the command makes.

        Raises Locked's branches.
        """
        if not self.prompted:
            return self._read()
        if self._given is not None:
            return self._given
        first = ask_secret(what, f"New password for {what}: ")
        if first != ask_secret(what, "The same again: "):
            raise PasswordsDiffer
        self._given = first
        return first

    def unlock(self, what: str, attempt: Callable[[str], T], wrong: type[Exception]) -> T:
        """Open `what` by `attempt(password)`, which raises `wrong` for a wrong password.

        A person has three tries; a password entered for another key of the same command is tried first.
        """
        if not self.prompted:
            return attempt(self._read())
        if self._given is not None:
            try:
                return attempt(self._given)
            except wrong:
                self._given = None
        for left in reversed(range(_TRIES)):
            password = ask_secret(what, f"Password for {what}: ")
            try:
                opened = attempt(password)
            except wrong:
                if not left:
                    raise
                print("Wrong password, try again.", file=sys.stderr)  # noqa: T201 - part of the prompt
            else:
                self._given = password
                return opened
        raise AssertionError

    def _read(self) -> str:
        if self._given is None:
            self._given = _first_line(self._descriptor, self._file)
        return self._given


def terminal_present() -> bool:
    """Whether somebody can be asked: a terminal to type on, and one to read the question from."""
    return (sys.stdin is not None and sys.stdin.isatty()) or (sys.stderr is not None and sys.stderr.isatty())


def _first_line(descriptor: int | None, file: Path | None) -> str:
    source = f"descriptor {descriptor}" if descriptor is not None else str(file)
    try:
        with open(descriptor if descriptor is not None else str(file), "rb") as stream:  # noqa: PTH123 - or a descriptor
            line = stream.readline(_LONGEST + 1)
        password = line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        raise PasswordUnreadable(source, "its first line is not text") from error
    except OSError as error:
        raise PasswordUnreadable(source, error.strerror or "cannot be read") from error
    if not password or len(line) > _LONGEST:
        raise PasswordUnreadable(
            source, "its first line is empty" if not password else "its first line is too long"
        )
    return password


def ask_secret(what: str, question: str) -> str:
    """Ask for something that must not be seen. Raises NoPassword where there is no terminal."""
    if not terminal_present():
        raise NoPassword(what)
    try:
        password = getpass.getpass(question)
    except EOFError as error:
        raise NoPassword(what) from error
    if not password:
        raise PasswordUnreadable("the answer", "it is empty")
    return password
