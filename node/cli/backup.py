"""`tithe backup` and `tithe restore`, also below `tithe farm`: one file that may be given to anybody."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import exports
from node.cli.amounts import counted, moment
from node.cli.errors import NotDone, Unusable
from node.cli.export_keys import KeySource
from node.cli.farm_owner import load_config
from node.cli.faults import warn_of
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile
from node.cli.output import note, print_json, safe, say, short, waiting
from node.cli.passwords import Passwords
from node.cli.renter import Access, Opened, with_renter
from node.cli.session import home
from node.clock import wall_clock

if TYPE_CHECKING:
    from node.export import Label
    from node.renter.run_reports import Reconciled

group = typer.Typer()
farm = typer.Typer()

Target = Annotated[Path, typer.Argument(metavar="FILE", help="The new file to write.")]
Export = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="What tithe backup wrote.", show_default=False)
]
WithKeys = Annotated[
    bool, typer.Option("--with-keys", help="Put the keys in too, sealed by a passphrase you are asked for.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Set the books that are here aside, and go on from the copy.")
]
NewestCopy = Annotated[
    bool,
    typer.Option("--copy", help="Take the newest good one of the copies that a running node makes itself."),
]


def add_to(app: typer.Typer) -> None:
    """Put these commands into the command line."""
    app.add_typer(group, rich_help_panel="Set up")


@group.command(rich_help_panel="Set up")
def backup(
    file: Target,
    with_keys: WithKeys = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Write all that a renter must not lose into one file. At any time, also while it runs.

    Anybody may keep it: it is encrypted, and the wallet's recovery phrase opens it.
    Keys are not in it unless you ask for them. Files put later are not lost either:
    farmers keep the list of them, encrypted.

    For example:

        tithe backup ~/renter.tithe
        tithe backup --with-keys /media/stick/renter.tithe
    """
    _backup(exports.RENTER, file, Passwords(password_file, password_fd) if with_keys else None, as_json)


@farm.command("backup")
def farm_backup(
    file: Target,
    with_keys: WithKeys = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Write all that a farmer must not lose, but its shards, into one file. Also while it runs.

    Vouchers, proofs and agreements are in it, encrypted by the farmer's identity. That
    identity is made of no phrase: keep one export --with-keys in a safe place. Books in
    PostgreSQL are backed up by its own tools.

    For example:

        tithe farm backup --with-keys /media/stick/farm.tithe
        tithe farm backup ~/farm.tithe
    """
    if load_config().database is not None:
        raise NotDone("these books are in PostgreSQL: back them up by its own tools, such as pg_dump")
    _backup(exports.FARMER, file, Passwords(password_file, password_fd) if with_keys else None, as_json)


def _backup(role: "exports.Role", file: Path, passwords: Passwords | None, as_json: bool) -> None:
    with waiting("Writing the export", quiet=as_json):
        label = exports.write(home(), role, file.expanduser().absolute(), passwords, wall_clock())
    if as_json:
        print_json({"file": file, "node": label.node, "taken_at": label.taken_at, "keys": bool(label.keys)})
        return
    say(f"Wrote {safe(str(file))}: all of {role.name} {short(label.node)} at {moment(label.taken_at)}.")
    if label.keys:
        note("Its keys are inside, sealed: whoever has the file and the passphrase is this node.")
    elif label.account is None:
        note("These keys are made of no phrase: keep an export --with-keys as well, or nothing opens this.")


@group.command(rich_help_panel="Set up")
def restore(
    file: Export = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="A farmer that keeps your list of files, without an export."
        ),
    ] = None,
    copy: NewestCopy = False,
    replace: Replace = False,
    phrase_file: Annotated[
        Path | None,
        typer.Option("--phrase-file", metavar="FILE", help="A file with the phrase.", show_default=False),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            "--path",
            metavar="PATH",
            help="Account of the phrase; the first is m/44'/60'/0'/0/0.",
            show_default=False,
        ),
    ] = None,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Bring a renter back: from an export, from its farmers, or from its own newest copy.

    On an empty machine the wallet's phrase (or the passphrase of an export with keys)
    gives the keys back. Nothing is signed in a channel before its farmer has shown
    what it holds: a farmer that does not answer keeps its channel frozen. Should it
    never answer, tithe channel close and withdraw take the rest back after the
    challenge period.

    For example:

        tithe restore ~/renter.tithe
        tithe restore --from http://farm.example:4501     with the phrase alone
        tithe restore --copy                              after a damaged disk
    """
    if [file is not None, source is not None, copy].count(True) != 1:
        raise Unusable("name one of FILE, --from URL and --copy")
    passwords, place = Passwords(password_file, password_fd), home()
    keys = KeySource(passwords, phrase_file, path)
    label: Label | None = None
    now = wall_clock()
    if file is not None:
        label = exports.restore(place, exports.RENTER, file.expanduser(), keys, now, replace=replace)
    elif copy:
        exports.restore_copy(place, exports.RENTER, chain, now)
    else:
        exports.begin_from_phrase(place, chain, keys, now, replace=replace)
    _tell_restored(label, as_json=as_json)
    opened, done = with_renter(
        chain, Access(passwords, signs=True, payer=exports.payer(place)), lambda one: _reconcile(one, source)
    )
    if as_json:
        print_json({"restored": label, "reconciled": done})
    else:
        _tell_reconciled(opened, done)


async def _reconcile(opened: Opened, source: str | None) -> "tuple[Opened, Reconciled]":
    renter = opened.renter
    if source is not None:
        await renter.shelf.ask(await renter.peers.add(source))
    return opened, await renter.reconcile()


@farm.command("restore")
def farm_restore(
    file: Export = None,
    copy: NewestCopy = False,
    replace: Replace = False,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Bring a farmer back from an export, or from its own newest copy. Its shards stay where they are.

    It serves at once. Of a channel it claims nothing before the renter has handed over
    its newest voucher, or seven days have passed, or the channel closes.

    For example:

        tithe farm restore ~/farm.tithe
        tithe farm restore --copy
    """
    if (file is None) != copy:
        raise Unusable("name either FILE or --copy")
    keys = KeySource(Passwords(password_file, password_fd))
    label: Label | None = None
    if file is not None:
        label = exports.restore(
            home(), exports.FARMER, file.expanduser(), keys, wall_clock(), replace=replace
        )
    else:
        exports.restore_copy(home(), exports.FARMER, chain, wall_clock())
    _tell_restored(label, as_json=as_json)
    if as_json:
        print_json({"restored": label})
    else:
        note("Next: tithe farm run")


def _tell_restored(label: "Label | None", *, as_json: bool) -> None:
    if label is not None and not as_json:
        say(f"Restored {label.role} {short(label.node)} as it was at {moment(label.taken_at)}.")


def _tell_reconciled(opened: Opened, done: "Reconciled") -> None:
    for name in done.found:
        say(f"Learned of {safe(name)} from the farmers.")
    for name in done.removed:
        say(f"{safe(name)} has been removed since.")
    warn_of(done.faults, opened.token)
    say(f"{counted(len(opened.renter.files.ls()), 'file')} known: tithe ls")
    if done.frozen:
        names = ", ".join(short(channel) for channel in done.frozen)
        raise NotDone(
            f"channels {names} sign nothing until their farmers answer: tithe rent run asks them again;"
            " should they never, take the rest back by tithe channel close"
        )
