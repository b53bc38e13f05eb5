"""The options that many commands share, each spelled and explained once."""

from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.session import chain_names, wallet_names

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="Read the password from this file's first line (or set TITHE_PASSWORD_FILE).",
        show_default=False,
    ),
]
PasswordFd = Annotated[
    int | None,
    typer.Option(
        "--password-fd",
        metavar="N",
        min=0,
        help="Read the password from this descriptor.",
        show_default=False,
    ),
]
ChainName = Annotated[
    str | None,
    typer.Option(
        "--chain",
        metavar="NAME",
        envvar="TITHE_CHAIN",
        help="Use this recorded chain instead of the current one.",
        show_default=False,
        autocompletion=chain_names,
    ),
]
WalletName = Annotated[
    str | None,
    typer.Option(
        "--wallet",
        metavar="NAME",
        envvar="TITHE_WALLET",
        help="Use this wallet instead of the default one.",
        show_default=False,
        autocompletion=wallet_names,
    ),
]
HOST = typer.Option("--host", metavar="HOST", help="Where to listen.")
PORT = typer.Option("--port", metavar="N", min=0, max=65535, help="Where to listen; 0: any.")
Urls = Annotated[
    list[str] | None,
    typer.Option("--url", metavar="URL", help="How others reach it, if not there.", show_default=False),
]


def amount_option(flag: str, what: str) -> Any:  # noqa: ANN401 - typer's own marker
    """An option that takes an amount of tokens."""
    return typer.Option(flag, metavar="TOKENS", help=what, show_default=False)


def duration_option(flag: str, what: str) -> Any:  # noqa: ANN401 - typer's own marker
    """An option that takes a duration."""
    return typer.Option(flag, metavar="DURATION", help=what, show_default=False)
