"""The root of the command line: its groups, its help, and where errors become lines and exit codes."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from node.cli import (
    backup,
    chain,
    channel,
    demo,
    durability,
    farm,
    files,
    keep,
    listing,
    peers,
    relay,
    rent,
    tower,
    wallet,
)
from node.cli.errors import DONE, INTERRUPTED, USAGE, exit_code, one_line
from node.cli.session import token_seen
from node.cli.units import in_ether, in_tokens
from node.home import VARIABLE

HELP = """
Store files with farmers who are paid, voucher by voucher, for every audit they pass.

[bold]First time?[/bold] On your own machine, with a chain that costs nothing:

    tithe demo                       the whole story in one command

    tithe chain up --detach          start a local chain
    tithe wallet new                 make a wallet
    tithe chain deploy               the contracts; tokens for the wallet

    TITHE_HOME=~/farm1 tithe farm init --join ~/.tithe --port 4501
    TITHE_HOME=~/farm1 tithe farm run     and others, in a terminal each

    tithe peers add http://127.0.0.1:4501     every farmer
    tithe channel fund               open a payment channel to each
    tithe put FILE                   then: tithe audit, tithe get FILE
    tithe channel close --wait       take back what they did not earn

Every command explains itself: [bold]tithe put --help[/bold].
Everything is kept below TITHE_HOME (~/.tithe).
"""
EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 usage, 3 password missing or wrong,"
    " 4 chain unreachable or not the recorded one, 130 interrupted;"
    " of tithe farm check also 5 attention, 6 money in danger."
)

app = typer.Typer(
    name="tithe",
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"tithe {version('tithebarn')}")  # noqa: T201 - the answer
        raise typer.Exit


@app.callback()
def root(
    home: Annotated[
        str | None,
        typer.Option(
            "--home", metavar="DIR", help="Keep everything here instead of in TITHE_HOME.", show_default=False
        ),
    ] = None,
    debug: Annotated[  # noqa: ARG001 - taken out of the arguments by `run`, wherever it stands
        bool, typer.Option("--debug", help="Show where an error comes from (or set TITHE_DEBUG=1).")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take what holds for every command."""
    if home is not None:
        os.environ[VARIABLE] = home


for group in (
    demo,
    chain,
    wallet,
    peers,
    channel,
    files,
    listing,
    keep,
    durability,
    rent,
    farm,
    relay,
    tower,
    backup,
):
    group.add_to(app)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit; an error becomes one line on stderr and an exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = _take_debug(given) or bool(os.environ.get("TITHE_DEBUG"))
    try:
        code = app(given, prog_name="tithe", standalone_mode=False) or DONE
    except TyperException as error:
        code = _usage(error)
    except (KeyboardInterrupt, Abort):
        code = INTERRUPTED
    except Exception as error:
        if debug:
            raise
        _complain(_in_units(one_line(error)))
        code = exit_code(error)
    if code == INTERRUPTED and sys.stderr.isatty():
        sys.stderr.write("\n")  # an interrupted prompt keeps its line to itself
    sys.exit(code)


def _take_debug(arguments: list[str]) -> bool:
    """Remove `--debug` wherever it stands before a `--`; tell whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if "--debug" not in arguments[:end]:
        return False
    arguments.remove("--debug")
    return True


def _usage(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return USAGE
    path = context.command_path if context is not None else "tithe"
    _complain(f"{' '.join(error.format_message().split())} (see {path} --help)")
    return error.exit_code


def _in_units(line: str) -> str:
    """Write amounts in tokens and ether, as far as the token is known."""
    token = token_seen()
    return in_ether(in_tokens(line, token.decimals, token.symbol) if token else line)


def _complain(line: str) -> None:
    from settlement.urls import public_text

    sys.stderr.write(f"tithe: {public_text(line)}\n")
