"""`tithe farm`: the farmer's commands together, and `run`, its daily life."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import (
    backup,
    farm_books,
    farm_check,
    farm_offer,
    farm_settings,
    farm_setup,
    farm_status,
    farm_store,
    farm_tower,
    relay,
)
from node.cli.errors import NotDone
from node.cli.farm_owner import load_config, make_daemon, running_target
from node.cli.farm_setup import LOCAL_GAS
from node.cli.gifts import give_gas
from node.cli.key_files import unlock_keystore
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile
from node.cli.output import note, print_json, safe, show_facts
from node.cli.passwords import Passwords
from node.cli.renter import check_books
from node.cli.session import deployment, home, run
from node.home import Home

if TYPE_CHECKING:
    from node.daemon import FarmerDaemon
    from node.farmer.config import FarmerConfig
    from payments.vouchers import SigningKey
    from settlement.deployment import Deployment

group = typer.Typer(no_args_is_help=True)
life = typer.Typer()


def add_to(app: typer.Typer) -> None:
    """Put this group into the command line."""
    group.add_typer(farm_setup.group)
    group.add_typer(life)
    group.add_typer(farm_status.group)
    group.add_typer(farm_books.group)
    group.add_typer(farm_check.group)
    group.add_typer(farm_store.group)
    group.add_typer(
        farm_tower.group, name="tower", help="Watchtowers that claim for you while you are offline."
    )
    group.add_typer(farm_offer.group)
    group.add_typer(farm_settings.group)
    group.add_typer(backup.farm)
    group.add_typer(relay.farmers)
    app.add_typer(
        group,
        name="farm",
        help="Sell storage: set up a farmer, run it, see what it earned, claim it.",
        rich_help_panel="Sell storage",
    )


@life.command("run")
def run_(
    claims: Annotated[
        bool, typer.Option("--claims/--no-claims", help="Claim by itself; needs the gas key's password.")
    ] = True,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="Start although shards are gone: they are lost for good, and their renters told.",
        ),
    ] = False,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Run the farmer until Ctrl-C: serve renters, answer audits, claim.

    What happens is logged to stderr. The prices may be changed while it runs.

    It does not start where the disk with its shards is missing, since every audit
    would fail. While the disk is away a farmer that does not run is only offline.

    For example:

        tithe farm run
        tithe farm run --password-file ~/farm.password 2>> farm.log
    """
    from settlement.copies import Copies

    place = home()
    config = load_config()
    record = deployment(chain)
    if (target := running_target()) is not None:
        raise NotDone(f"this farmer runs already, at {target.urls[0]}")
    if config.database is None:
        state = place.farm_state(record.folder)
        check_books(Copies(state.money, state.copies), "tithe farm restore --copy")
    passwords = Passwords(password_file, password_fd)
    key = unlock_keystore(place.farm_gas_key, "the farm's gas key", passwords) if claims else None
    run(_serve(place, config, record, key, accept_loss=accept_loss, as_json=as_json))


async def _serve(
    place: Home,
    config: "FarmerConfig",
    record: "Deployment",
    key: "SigningKey | None",
    *,
    accept_loss: bool,
    as_json: bool,
) -> None:
    """Run the daemon until a signal comes."""
    from node.cli.serving import serve, until_stopped
    from settlement.client import Chain

    stop = until_stopped()
    async with await Chain.connect(record.url, record) as chain:
        if record.local and key is not None and not await chain.balance(key.address):
            await give_gas(chain, key.address, LOCAL_GAS)
        daemon = make_daemon(place, config, record, key, chain, accept_loss=accept_loss)
        taken = f"{config.host}:{config.port} is in use: choose another by tithe farm settings --port N"
        await serve(daemon, stop, lambda: _tell_running(daemon, as_json=as_json), taken)


def _tell_running(daemon: "FarmerDaemon", *, as_json: bool) -> None:
    import os

    node = daemon.farmer.farm.node
    if as_json:
        print_json({"node": node, "url": daemon.url, "pid": os.getpid()})
    else:
        show_facts([("farmer", "0x" + node.hex()), ("listens at", daemon.url)])
        note(f"It runs until Ctrl-C. Renters add it by: tithe peers add {safe(daemon.url)}")
