"""Connext's Vector 0.2.3 (2021): a proxy contract for every pair, claimed with both signatures.

Opening deploys the proxy and pays in through the factory, which approves the proxy on the way.
"""

from collections.abc import Sequence

from eth_abi.abi import encode

from payments.eip712 import keccak
from payments.types import Address
from payments.vouchers import SigningKey
from scripts.gas.bench import TOKEN, call
from scripts.gas.meter import ALONE, Figure, Ground, Meter, sign65
from scripts.gas.packages import Package, deploy
from settlement.calls import Call

PACKAGE = Package(
    "npm",
    "@connext/vector-contracts",
    "0.2.3",
    "connext-vector-contracts-0.2.3.tgz",
    "e3eee5ff37a5cada1798631dacffb74d8f033c67b2b5f8360302155cb92fa7b5",
)
COMPILED = "package/dist/artifacts/src.sol/{0}.sol/{0}.json"
WITHDRAWAL = "(address,address,address,uint256,uint256,address,bytes)"
WITHDRAW_COMMITMENT = 1


def withdrawal(channel: Address, token: Address, sides: tuple[SigningKey, SigningKey], nonce: int) -> Call:
    """Pay a tenth of a token to the second side; both agree."""
    data = (channel, token, sides[1].address, TOKEN // 10, nonce, bytes(20), b"")
    commitment = keccak(
        encode(["uint8", "bytes32"], [WITHDRAW_COMMITMENT, keccak(encode([WITHDRAWAL], [data]))])
    )
    digest = keccak(b"\x16Vector Signed Message:\n32" + commitment)
    signatures = [sign65(side, digest) for side in sides]
    return call(channel, f"withdraw({WITHDRAWAL},bytes,bytes)", data, *signatures)


async def measure(ground: Ground, _: Sequence[int]) -> list[Figure]:
    """Measure opening, topping up and withdrawing by agreement; leaving by dispute is not measured."""
    bench, payer, token = ground.bench, ground.payer, ground.token
    code = {
        name: PACKAGE.read(COMPILED.format(name))["bytecode"]
        for name in ("ChannelMastercopy", "ChannelFactory")
    }
    master = await deploy(bench, code["ChannelMastercopy"])
    factory = await deploy(bench, code["ChannelFactory"], "(address,uint256)", master, 0)
    await bench.approve(token, factory, [payer])
    meter = Meter("vector", bench)
    payees = ground.payees[:ALONE]
    opening = "createChannelAndDepositAlice(address,address,address,uint256)"
    opened = [(payer, call(factory, opening, payer.address, payee.address, token, TOKEN)) for payee in payees]
    await meter.alone("open", opened)
    channels = []
    for payee in payees:
        where = call(factory, "getChannelAddress(address,address)", payer.address, payee.address)
        channels.append((Address((await bench.rpc.call(where.to, where.data))[12:]), payee))
    for channel, _payee in channels:
        await bench.approve(token, channel, [payer])
    topping = [
        (payer, call(channel, "depositAlice(address,uint256)", token, TOKEN)) for channel, _payee in channels
    ]
    await meter.alone("top_up", topping)
    for channel, payee in channels:
        await bench.send(payee, withdrawal(channel, token, (payer, payee), 1))
    later = [(payee, withdrawal(channel, token, (payer, payee), 2)) for channel, payee in channels]
    await meter.alone("claim", later, "both sides sign")
    return meter.figures
