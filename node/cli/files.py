"""`tithe put, get, rm, audit`: the renter's files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from node.cli.amounts import coins, counted, duration, moment, parse_duration, parse_range, parse_size, size
from node.cli.audit_report import audit_document, show_audit
from node.cli.errors import NotDone, Unusable
from node.cli.faults import warn_of
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile
from node.cli.output import note, print_json, progress, safe, say, show_facts, waiting
from node.cli.passwords import Passwords
from node.cli.renter import Access, Opened, with_renter

if TYPE_CHECKING:
    from node.renter.reports import AuditReport, GetReport, PutReport, RemoveReport
    from payments.types import Seconds

STREAM = "-"
PANEL = "Store files"


def add_to(app: typer.Typer) -> None:
    """Put these commands into the command line."""
    for command in (put, get, rm, audit):
        app.command(rich_help_panel=PANEL)(command)


def put(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to store; - reads stdin.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", help="What to call it. Default: its own name.", show_default=False
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", metavar="K", min=1, help="So many shards give it back.", show_default=False),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", metavar="N", min=1, help="So many farmers get a shard each.", show_default=False),
    ] = None,
    span: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            help="Keep it so long. Default: until you remove it.",
            show_default=False,
        ),
    ] = None,
    segment_size: Annotated[
        str | None,
        typer.Option(
            "--segment-size",
            metavar="SIZE",
            help="Encrypt so much as one piece; at most 64MiB.",
            show_default=False,
        ),
    ] = None,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Store a file: encrypted, cut into n shards with n farmers, any k of which give it back.

    By default 29 of 80, or the same share of the farmers that you have funded; a
    file of at most 4 KiB is kept whole by 20 farmers. Farmers that are too slow are
    replaced where you have funded more. A put that was killed goes on when it is
    repeated within an hour. Shows until when the file is safe if you never audit it
    again: to keep it, let tithe rent run audit, pay, repair, and renew the
    agreements, of 90 days or --for.

    For example:

        tithe put holiday.mp4
        tar c photos | tithe put - --as photos.tar --for 365d
    """
    seconds = None if span is None else parse_duration(span)
    piece = None if segment_size is None else parse_size(segment_size)
    streamed = str(file) == STREAM
    if not streamed and not file.is_file():
        raise NotDone(f"{file}: {_why_no_file(file)}")
    called = name if name is not None else "" if streamed else file.name
    if not called or not called.isprintable():
        raise Unusable(f"{called!r} is no name for a file: choose another by --as NAME")

    async def work(opened: Opened) -> "tuple[Opened, PutReport]":
        options = {} if piece is None else {"segment_size": piece}
        source: Path | BinaryIO = sys.stdin.buffer if streamed else file
        with progress(f"Storing {called}", quiet=as_json) as tell:
            report = await opened.renter.files.put(
                source, called, k=k, n=n, seconds=seconds, progress=tell, **options
            )
        return opened, report

    opened, report = with_renter(
        chain, Access(Passwords(password_file, password_fd), signs=True, reads=True), work
    )
    if as_json:
        print_json({"token": opened.token, "put": report})
    else:
        _tell_put(report, opened, seconds)


def _tell_put(report: "PutReport", opened: Opened, seconds: "Seconds | None") -> None:
    """Say what was stored, what it costs, and until when it is safe; `seconds` is what was asked for."""
    stored = report.file
    warn_of(report.faults, opened.token)
    holders = counted(len(report.farmers), "farmer")
    say(f"Stored [bold]{safe(stored.name)}[/bold], {size(stored.size)}, with {holders}.")
    show_facts(
        [
            ("given back by", f"any {stored.k} of {stored.n} shards"),
            ("costs", f"{coins(report.price_per_month, opened.token)} for 30 days"),
            ("agreed until", moment(stored.ends_at)),
            ("safe until", f"{moment(stored.safe_until)} without tithe rent run"),
        ]
    )
    if report.resumed:
        note(f"{counted(report.resumed, 'segment')} of it had been stored before the last put was ended.")
    if seconds is not None and stored.ends_at < stored.created_at + seconds:
        note(f"Some farmers offer less than {duration(seconds)}: tithe rent run renews in time.")


def _why_no_file(path: Path) -> str:
    if path.is_dir():
        return "is a directory"
    return f"is no regular file: read it by tithe put {STREAM} --as NAME" if path.exists() else "no such file"


def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A stored file.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Where to; - writes stdout. Default: its name.",
            show_default=False,
        ),
    ] = None,
    span: Annotated[
        str | None,
        typer.Option(
            "--range",
            "-r",
            metavar="RANGE",
            help="Read these bytes only: 0-499, 500- (to the end), -500 (the last).",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a file that is there.")] = False,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Read a file back. It appears when it is whole and is what was stored.

    Farmers are paid for the reading as it goes, a step of at most 1 MiB ahead.
    A get that was interrupted goes on where it was when it is called again; till
    then what has come lies beside, in a hidden file that ends in .part.

    For example:

        tithe get holiday.mp4
        tithe get photos.tar -o - | tar x
        tithe get holiday.mp4 --range 0-1023 -o beginning
    """
    if span is not None and out is None:
        raise Unusable("--range needs -o FILE, or -o - for stdout: a part must not pass for the whole")
    asked = None if span is None else parse_range(span)
    target = out or Path(Path(name).name)
    streamed = str(target) == STREAM
    if streamed and as_json:
        raise Unusable("stdout cannot carry both the file and --json")
    if not streamed and target.is_dir():
        target /= Path(name).name
    if not streamed and target.exists() and not force:
        raise NotDone(f"{target} exists: choose another place by -o, or replace it by --force")

    async def work(opened: Opened) -> "tuple[Opened, GetReport]":
        sink: Path | BinaryIO = sys.stdout.buffer if streamed else target
        offset, length = asked.within(opened.renter.files.size(name)) if asked else (0, None)
        with progress(f"Reading {name}", quiet=as_json) as tell:
            return opened, await opened.renter.files.get(
                name, sink, offset=offset, length=length, progress=tell
            )

    opened, report = with_renter(
        chain,
        Access(Passwords(password_file, password_fd), signs=True, reads=True, chain_may_be_away=True),
        work,
    )
    if as_json:
        print_json({"token": opened.token, "out": target, "get": report})
        return
    warn_of(report.faults, opened.token)
    part = f"{size(report.length)} of {size(report.file.size)}" if span else size(report.file.size)
    told = f"Read {safe(name)}, {part}, for {coins(report.paid, opened.token)}"
    if streamed:
        note(f"{told}.")
    else:
        say(f"{told}: {safe(str(target))}")


def rm(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A stored file.")],
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Remove a file; its farmers delete their shards and are paid no longer.

    For example:

        tithe rm holiday.mp4
    """

    async def work(opened: Opened) -> "tuple[Opened, RemoveReport]":
        with waiting(f"Removing {name}", quiet=as_json):
            return opened, await opened.renter.files.rm(name)

    opened, report = with_renter(chain, Access(Passwords(password_file, password_fd), signs=True), work)
    if as_json:
        print_json(report)
        return
    say(f"Removed {safe(report.name)}: {counted(report.deleted, 'shard')} deleted.")
    warn_of(report.pending, opened.token)
    if report.pending:
        note("They are told again by the next tithe rent run.")


def audit(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Stored files; all if none is named.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="How often.")] = 1,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Have farmers prove now that they keep your files, and pay those that do.

    tithe rent run does this on schedule. Exit code 1 if a shard is lost, or
    was not asked for, as where its farmer's channel is closed or holds too little.

    For example:

        tithe audit
        tithe audit holiday.mp4 --rounds 3
    """

    async def work(opened: Opened) -> "tuple[Opened, AuditReport]":
        with waiting("Auditing", quiet=as_json):
            return opened, await opened.renter.audits.audit(names or None, rounds=rounds)

    opened, report = with_renter(chain, Access(Passwords(password_file, password_fd), signs=True), work)
    if as_json:
        print_json(audit_document(report, opened.token))
    else:
        show_audit(report, opened.token)
    lost = [result for result in report.results if result.outcome.name == "FAILED"]
    if lost:
        raise NotDone(f"{counted(len(lost), 'shard')} lost: see tithe stat {lost[0].file}")
    unasked = [result for result in report.results if result.outcome.name == "UNCHECKED"]
    if unasked:
        raise NotDone(f"{counted(len(unasked), 'shard')} not asked for: {unasked[0].reason}")
