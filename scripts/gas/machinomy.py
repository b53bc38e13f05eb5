"""Machinomy's TokenUnidirectional 4.1.5 (2018): one-way channels of one payment.

The only claim closes the channel and gives the payer the change, so there are no later claims.
"""

from collections.abc import Sequence

from payments.eip712 import keccak, word
from payments.vouchers import SigningKey
from scripts.gas.bench import TOKEN, call
from scripts.gas.meter import ALONE, Figure, Ground, Meter, personal, sign65
from scripts.gas.packages import Package, deploy
from settlement.calls import Call

PACKAGE = Package(
    "npm",
    "@machinomy/contracts",
    "4.1.5",
    "machinomy-contracts-4.1.5.tgz",
    "f5578c77138dd8e0351e684e8a163cc2e1e72fa94db9a1d285efe8db7151203d",
)
COMPILED = "package/build/contracts/TokenUnidirectional.json"
SETTLING_BLOCKS = 10


async def measure(ground: Ground, _: Sequence[int]) -> list[Figure]:
    """Measure all it can do; half of the channels are claimed, half are left to the payer."""
    bench, payer, token = ground.bench, ground.payer, ground.token
    contract = await deploy(bench, PACKAGE.read(COMPILED)["bytecode"])
    await bench.approve(token, contract, [payer])
    meter = Meter("machinomy", bench)
    (first_id, first), *channels = [
        (keccak(b"channel" + word(index)), payee)
        for index, payee in enumerate(ground.payees[: 2 * ALONE + 1])
    ]

    def by_payer(signature: str, *arguments: object) -> tuple[SigningKey, Call]:
        return payer, call(contract, signature, *arguments)

    def opened(channel: bytes, payee: SigningKey) -> tuple[SigningKey, Call]:
        signature = "open(bytes32,address,uint256,address,uint256)"
        return by_payer(signature, channel, payee.address, SETTLING_BLOCKS, token, TOKEN)

    def claimed(channel: bytes, payee: SigningKey) -> tuple[SigningKey, Call]:
        digest = keccak(contract + channel + word(TOKEN // 10) + token)
        signature = sign65(payer, personal(digest))
        return payee, call(contract, "claim(bytes32,uint256,bytes)", channel, TOKEN // 10, signature)

    await bench.send(*opened(first_id, first))
    claiming, left = channels[:ALONE], channels[ALONE:]
    await meter.alone("open", [opened(*channel) for channel in claiming])
    topped = [by_payer("deposit(bytes32,uint256)", channel, TOKEN) for channel, _ in claiming]
    await meter.alone("top_up", topped)
    await meter.alone("claim", [claimed(*channel) for channel in claiming], "closes the channel")
    for channel in left:
        await bench.send(*opened(*channel))
    await meter.alone("request_close", [by_payer("startSettling(bytes32)", channel) for channel, _ in left])
    await bench.rpc.request("anvil_mine", SETTLING_BLOCKS)
    note = "before any claim: a claim closes"
    await meter.alone("withdraw", [by_payer("settle(bytes32)", channel) for channel, _ in left], note)
    return meter.figures
