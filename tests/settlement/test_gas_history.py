"""A day of gas prices, as a real node tells them."""

from payments.gas_forecast import HOUR, HOURS
from settlement.gas_history import read_hours
from settlement.local_chain import LocalChain
from tests.settlement.support import run, world

HALF = 1_800
BLOCKS = 60


def test_each_hour_of_the_last_day_has_the_base_fee_of_its_blocks(instant_anvil: LocalChain) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as scene:
            chain = scene.chain
            await chain.rpc.request("anvil_mine", BLOCKS, HALF)
            head = await chain.head()
            hours = await read_hours(chain)
            cost = [hours[(head.timestamp // HOUR - ago) % HOURS] for ago in range(HOURS)]
            assert None not in cost
            assert cost == sorted(cost, key=lambda fee: fee or 0)  # empty blocks are cheaper and cheaper
            assert cost[0] < cost[-1]  # type: ignore[operator]

    run(story())
