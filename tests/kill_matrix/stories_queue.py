"""The stories of the transaction queue: dear gas, nonsense, gifts taken back, lost nonces."""

from typing import Final

from tests.kill_matrix import deeds
from tests.kill_matrix.preparations import DEAR, do
from tests.kill_matrix.story import Story
from tests.kill_matrix.world import World

CHEAP: Final = 10**9


def dear(world: World) -> None:
    world.on_chain(("anvil_setNextBlockBaseFeePerGas", hex(DEAR)), ("evm_mine",))


def cheap(world: World) -> None:
    world.on_chain(("anvil_setNextBlockBaseFeePerGas", hex(CHEAP)), ("evm_mine",))


def give(world: World) -> None:
    """Send a gift, which waits in the pool."""
    world.gifts += 1
    world.on_chain(("evm_setAutomine", False))
    do(world, deeds.give_gifts, world.gifts)


def give_too_dearly(world: World) -> None:
    give(world)
    do(world, deeds.find_too_dear)


def lose_nonce(world: World) -> None:
    """Send two gifts, and lose the first of them: in the pool, and in the books."""
    world.gifts += 2
    world.on_chain(("evm_setAutomine", False))
    do(world, deeds.give_gifts, world.gifts - 1, world.gifts)
    world.on_chain(("anvil_dropAllTransactions",))
    first = "(SELECT id FROM transactions WHERE value = ?)"
    money, value = world.renter / "money.db", str(world.gifts - 1)
    assert world.tamper(money, f"DELETE FROM attempts WHERE transaction_id = {first}", value)  # noqa: S608
    assert world.tamper(money, "DELETE FROM transactions WHERE value = ?", value)
    world.disturbed, world.before = True, None


def mine(world: World) -> None:
    world.on_chain(("evm_setAutomine", True), ("evm_mine",))


QUEUE: Final = (
    Story(
        "find gas too dear",
        ("commit settlement.outbox:Outbox._postpone",),
        deeds.fund_dearly,
        prepare=dear,
        mend=cheap,
    ),
    Story("ask for nonsense", ("commit settlement.outbox:Outbox._end",), deeds.submit_nonsense),
    Story(
        "take back",
        ("commit settlement.outbox:Outbox._turn",),
        deeds.take_back,
        lambda world: (world.gifts,),
        prepare=give,
        mend=mine,
    ),
    Story(
        "find it affordable",
        ("commit settlement.outbox:Outbox._resumed",),
        deeds.refresh,
        prepare=give_too_dearly,
        mend=mine,
    ),
    Story(
        "fill a gap",
        ("commit settlement.outbox:Outbox._fill_gaps",),
        deeds.refresh,
        prepare=lose_nonce,
        mend=mine,
    ),
)
