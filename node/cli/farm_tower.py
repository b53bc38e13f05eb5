"""`tithe farm tower`: which watchtowers hold this farmer's vouchers."""

from dataclasses import replace
from typing import Annotated

import typer

from node.cli.errors import NotDone, Unusable
from node.cli.farm_owner import load_config
from node.cli.options import Json
from node.cli.output import note, print_json, safe, say
from node.cli.session import home

group = typer.Typer(no_args_is_help=True)
Named = Annotated[str, typer.Argument(metavar="TOWER", help="Its node and address: 0xNODE@http://HOST:PORT.")]


@group.command()
def add(tower: Named, as_json: Json = False) -> None:
    """Send your newest vouchers to a watchtower from now on.

    It claims for you when a payer closes while this farmer is offline. It cannot
    take anything: every claim pays your payee. `tithe tower run` says its name.

    For example:

        tithe farm tower add 0x5f1e...@http://tower.example:4601
    """
    from node.farmer.config import read_tower

    try:
        read_tower(tower)
    except ValueError as error:
        raise Unusable(f"{tower}: {error}") from None
    config = load_config()
    towers = tuple(dict.fromkeys((*config.towers, tower)))
    replace(config, towers=towers).save(home().farm_config)
    _tell(towers, as_json=as_json)


@group.command("list")
def list_(as_json: Json = False) -> None:
    """List the watchtowers. Whether they hold everything: tithe farm status.

    For example:

        tithe farm tower list
    """
    _tell(load_config().towers, as_json=as_json)


@group.command()
def rm(tower: Named, as_json: Json = False) -> None:
    """Send no more vouchers to a watchtower; the beginning of its name is enough.

    For example:

        tithe farm tower rm 0x5f1e
    """
    config = load_config()
    found = [one for one in config.towers if one.startswith(tower)]
    if len(found) != 1:
        raise NotDone(f"{len(found)} towers are named {tower}: see tithe farm tower list")
    towers = tuple(one for one in config.towers if one not in found)
    replace(config, towers=towers).save(home().farm_config)
    _tell(towers, as_json=as_json)


def _tell(towers: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        print_json({"towers": towers})
        return
    for one in towers:
        say(safe(one))
    if not towers:
        note("No watchtower: who runs one says its name at tithe tower run")
