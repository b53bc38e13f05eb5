"""uRaiden 0.2.6 (2018): one-way channels with cumulative balances, of all peers the nearest to ours.

It is the only one of its time that pays out without closing. A channel is told by its opening block.
"""

from collections.abc import Sequence

from payments.eip712 import keccak
from payments.types import Address
from payments.vouchers import SigningKey
from scripts.gas.bench import TOKEN, call
from scripts.gas.meter import ALONE, Figure, Ground, Meter, sign65
from scripts.gas.packages import Package, deploy
from settlement.calls import Call

PACKAGE = Package(
    "PyPI",
    "microraiden",
    "0.2.6",
    "microraiden-0.2.6.tar.gz",
    "1fb7b4b9f4d91b566cfdbba2f124d305f3233f8c2bd1ad691164d33d3b70489c",
)
COMPILED = "microraiden-0.2.6/microraiden/data/contracts.json"
CHALLENGE_BLOCKS = 500
MINED_AT_ONCE = 50
SCHEMA = keccak(b"string message_idaddress receiveruint32 block_createduint192 balanceaddress contract")


def withdrawal(contract: Address, payer: SigningKey, payee: SigningKey, block: int, total: int) -> Call:
    """Pay the caller, the payee, up to `total`."""
    fields = (
        b"Sender balance proof signature" + payee.address + block.to_bytes(4) + total.to_bytes(24) + contract
    )
    signature = sign65(payer, keccak(SCHEMA + keccak(fields)))
    return call(contract, "withdraw(uint32,uint192,bytes)", block, total, signature)


async def measure(ground: Ground, _: Sequence[int]) -> list[Figure]:
    """Measure all it can do; nothing in it takes more than one channel."""
    bench, payer = ground.bench, ground.payer
    first, *payees = ground.payees[: ALONE + 1]
    compiled = PACKAGE.read(COMPILED)["RaidenMicroTransferChannels"]["bytecode"]
    constructor = "(address,uint32,address[])"
    contract = await deploy(bench, compiled, constructor, ground.token, CHALLENGE_BLOCKS, [])
    await bench.approve(ground.token, contract, [payer])
    meter = Meter("microraiden", bench)

    def by_payer(signature: str, *arguments: object) -> tuple[SigningKey, Call]:
        return payer, call(contract, signature, *arguments)

    opening = "createChannel(address,uint192)"
    await bench.send(*by_payer(opening, first.address, TOKEN))
    receipts = await meter.alone("open", [by_payer(opening, payee.address, TOKEN) for payee in payees])
    channels = [(payee, receipt.block_number) for payee, receipt in zip(payees, receipts, strict=True)]
    topping = "topUp(address,uint32,uint192)"
    await meter.alone("top_up", [by_payer(topping, payee.address, block, TOKEN) for payee, block in channels])
    for payee, block in channels:
        await bench.send(payee, withdrawal(contract, payer, payee, block, TOKEN // 10))
    later = [(payee, withdrawal(contract, payer, payee, block, TOKEN // 5)) for payee, block in channels]
    await meter.alone("claim", later)
    closing, settling = "uncooperativeClose(address,uint32,uint192)", "settle(address,uint32)"
    requests = [by_payer(closing, payee.address, block, TOKEN // 5) for payee, block in channels]
    await meter.alone("request_close", requests)
    for _mined in range(0, CHALLENGE_BLOCKS + 1, MINED_AT_ONCE):  # each request in good time
        await bench.rpc.request("anvil_mine", MINED_AT_ONCE)
    await meter.alone("withdraw", [by_payer(settling, payee.address, block) for payee, block in channels])
    return meter.figures
