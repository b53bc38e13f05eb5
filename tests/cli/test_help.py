import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from node.cli.app import app
from tests.cli.conftest import Tithe

HEAVY = (
    "web3",
    "eth_account",
    "aiohttp",
    "sqlalchemy",
    "sqlmodel",
    "fastapi",
    "uvicorn",
    "nacl",
    "zfec",
    "eth_tester",
)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 - typer's own
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def command_at(path: tuple[str, ...]) -> Any:  # noqa: ANN401 - typer's own
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    return command


COMMANDS = sorted(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_of_itself(path: tuple[str, ...]) -> None:
    text = command_at(path).help or ""
    _, _, examples = text.partition("For example:")
    assert f"tithe {' '.join(path)}" in examples


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_command_takes_a_password_as_an_argument(path: tuple[str, ...]) -> None:
    names = {option for parameter in command_at(path).params for option in parameter.opts}
    assert not names & {"--password", "--passphrase", "--phrase", "--key", "--private-key", "-p"}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    for parameter in command_at(path).params:
        assert parameter.help, f"{parameter.name} of tithe {' '.join(path)}"


def test_help_shows_the_way_to_a_newcomer(tithe: Tithe) -> None:
    shown = tithe("--help").out
    for step in ("tithe chain up", "tithe wallet new", "tithe chain deploy", "tithe farm init", "Exit codes"):
        assert step in shown
    for group in ("wallet", "chain", "farm"):
        assert tithe(group, "--help").out


def test_help_is_quick_since_nothing_heavy_is_loaded() -> None:
    look = "import sys, node.cli.app; print([name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", look, *HEAVY], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_no_command_at_all_shows_the_help(tithe: Tithe) -> None:
    done = tithe(expect=2)
    assert "tithe chain up" in done.out
    assert done.err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("walet",), "Did you mean 'wallet'"),
        (("wallet", "new", "--colour"), "--colour"),
        (("wallet", "balance", "--password", "x"), "--password"),
        (("chain", "warp"), "Missing argument"),
        (("chain", "up", "--port", "http"), "--port"),
        (("chain", "up", "--port", "70000"), "65535"),
        (("chain", "up", "--kind", "geth"), "geth"),
    ],
)
def test_usage_errors_are_one_line_with_the_way_to_help(
    tithe: Tithe, arguments: tuple[str, ...], says: str
) -> None:
    line = tithe(*arguments, expect=2).error
    assert says in line
    assert "--help" in line


def test_version(tithe: Tithe) -> None:
    assert tithe("--version").out.startswith("tithe 0.")


def test_completion_is_offered_for_the_shell(tithe: Tithe) -> None:
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # who runs the tests may have no shell
    shown = tithe("--show-completion", "bash", env=named).out
    assert "complete" in shown
    completed = tithe(
        env={"_TITHE_COMPLETE": "complete_bash", "COMP_WORDS": "tithe wal", "COMP_CWORD": "1"},
    ).out
    assert "wallet" in completed


def test_home_option_wins_over_the_environment(tithe: Tithe) -> None:
    (tithe.folder / "phrase").write_text("test " * 11 + "junk")
    tithe("--home", "elsewhere", "wallet", "import", "--phrase-file", "phrase")
    assert (tithe.folder / "elsewhere" / "wallets" / "main.json").exists()
    assert not tithe.home.exists()


def test_debug_shows_where_and_only_then(tithe: Tithe) -> None:
    (tithe.home / "config.json").parent.mkdir()
    (tithe.home / "config.json").write_text("{")
    assert "config.json cannot be used" in tithe("wallet", "list", expect=1).error
    for arguments in (("--debug", "wallet", "list"), ("wallet", "list", "--debug")):
        assert "Traceback" in tithe(*arguments, expect=1).err
    assert "Traceback" in tithe("wallet", "list", expect=1, env={"TITHE_DEBUG": "1"}).err


def test_home_that_cannot_be_written_is_one_line(tithe: Tithe) -> None:
    tithe.home.write_text("a file")
    assert "cannot write to" in tithe("wallet", "new", expect=1).error
