"""Raiden 0.50.2 (Ethereum mainnet's contracts of 2022): TokenNetwork, and OneToN over a UserDeposit.

A TokenNetwork channel has two sides and is claimed with both signatures. OneToN pays from one deposit
shared by all receivers, into the receiver's balance within UserDeposit (taking it out costs more), a
receiver must be registered, and every claim is a session of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from payments.eip712 import word
from payments.types import Address
from payments.vouchers import SigningKey
from scripts.gas.bench import TOKEN, Bench, call
from scripts.gas.meter import ALONE, Figure, Ground, Meter, personal, sign65
from scripts.gas.packages import Package, deploy
from settlement.calls import Call
from settlement.local_chain import warp

PACKAGE = Package(
    "PyPI",
    "raiden-contracts",
    "0.50.2",
    "raiden_contracts-0.50.2-py3-none-any.whl",
    "2c89496bda40e55079ea221a804573bfa579678b453af34a121990b96d33eaad",
)
COMPILED = "raiden_contracts/data/contracts.json"
FOREVER = 2**40
SETTLE_SECONDS = 500
BALANCE_PROOF, WITHDRAW, IOU = 1, 3, 5


@dataclass
class Raiden:
    """The deployed contracts."""

    bench: Bench
    network: Address
    deposits: Address
    one_to_n: Address
    registry: Address

    def digest(self, contract: Address, kind: int, *fields: bytes) -> bytes:
        """What both sides sign: kind and fields, packed, in the name of one contract on one chain."""
        return personal(contract + word(self.bench.chain_id) + word(kind) + b"".join(fields))

    def withdrawal(self, channel: int, payee: SigningKey, payer: SigningKey, total: int) -> Call:
        """Pay the payee up to `total`; both agree."""
        fields = (word(channel), payee.address, word(total), word(FOREVER))
        digest = self.digest(self.network, WITHDRAW, *fields)
        return call(
            self.network,
            "setTotalWithdraw(uint256,address,uint256,uint256,bytes,bytes)",
            *(channel, payee.address, total, FOREVER, sign65(payee, digest), sign65(payer, digest)),
        )

    def close(self, channel: int, payee: SigningKey, payer: SigningKey) -> Call:
        """Close by the payer, who was never sent anything: an empty balance proof, countersigned."""
        empty = bytes(65)
        digest = self.digest(self.network, BALANCE_PROOF, word(channel), bytes(96), empty)
        return call(
            self.network,
            "closeChannel(uint256,address,address,bytes32,uint256,bytes32,bytes,bytes)",
            *(channel, payee.address, payer.address, bytes(32), 0, bytes(32), empty, sign65(payer, digest)),
        )

    def settle(self, channel: int, payee: SigningKey, payer: SigningKey) -> Call:
        """Pay out what is left."""
        sides = (part for side in (payer, payee) for part in (side.address, 0, 0, bytes(32)))
        return call(
            self.network,
            "settleChannel(uint256,address,uint256,uint256,bytes32,address,uint256,uint256,bytes32)",
            *(channel, *sides),
        )

    def claims(self, rows: Sequence[tuple[SigningKey, Address]], amount: int, session: int) -> Call:
        """OneToN: claim IOUs of (sender, receiver), several in one transaction."""
        signatures = [
            sign65(
                sender,
                self.digest(
                    self.one_to_n, IOU, sender.address, receiver, word(amount), word(FOREVER + session)
                ),
            )
            for sender, receiver in rows
        ]
        senders, receivers = [sender.address for sender, _ in rows], [receiver for _, receiver in rows]
        until = FOREVER + session
        if len(rows) == 1:
            signature = "claim(address,address,uint256,uint256,bytes)"
            return call(self.one_to_n, signature, senders[0], receivers[0], amount, until, signatures[0])
        signature = "bulkClaim(address[],address[],uint256[],uint256[],bytes)"
        amounts, ends = [amount] * len(rows), [until] * len(rows)
        return call(self.one_to_n, signature, senders, receivers, amounts, ends, b"".join(signatures))


async def open_ground(ground: Ground) -> Raiden:
    """Deploy the contracts on the common token and register everybody who receives through OneToN."""
    bench, token = ground.bench, ground.token
    compiled = PACKAGE.read(COMPILED)["contracts"]

    async def made(name: str, constructor: str, *arguments: object) -> Address:
        return await deploy(bench, compiled[name]["bin"], constructor, *arguments)

    secrets = await made("SecretRegistry", "()")
    owner = bench.deployer.address
    limits = (2**255, 2**255)
    network = await made(
        "TokenNetwork",
        "(address,address,uint256,address,uint256,uint256)",
        *(token, secrets, SETTLE_SECONDS, owner, *limits),
    )
    deposits = await made("UserDeposit", "(address,uint256,uint256)", token, 2**255, SETTLE_SECONDS)
    parameters = (token, owner, 1, 1, 1, 17_280_000, 1, 31_536_000)
    registry = await made(
        "ServiceRegistry",
        "(address,address,uint256,uint256,uint256,uint256,uint256,uint256)",
        *parameters,
    )
    one_to_n = await made("OneToN", "(address,uint256,address)", deposits, bench.chain_id, registry)
    await bench.send(bench.deployer, call(deposits, "init(address,address)", secrets, one_to_n))
    for spender in (network, deposits):
        await bench.approve(token, spender, [ground.payer])
    return Raiden(bench, network, deposits, one_to_n, registry)


async def measure(ground: Ground, counts: Sequence[int]) -> list[Figure]:
    """Measure both ways of being paid."""
    raiden = await open_ground(ground)
    return [*await _channels(raiden, ground), *await _iou(raiden, ground, counts)]


async def _channels(raiden: Raiden, ground: Ground) -> list[Figure]:
    meter, payer = Meter("raiden", ground.bench), ground.payer
    first, *payees = ground.payees[: ALONE + 1]
    opening = "openChannelWithDeposit(address,address,uint256)"
    topping = "setTotalDeposit(uint256,address,uint256,address)"

    def opened(payee: SigningKey) -> tuple[SigningKey, Call]:
        return payer, call(raiden.network, opening, payer.address, payee.address, TOKEN)

    await ground.bench.send(*opened(first))  # its contract holds the token from now on
    channels = list(enumerate(payees, start=2))
    await meter.alone("open", [opened(payee) for payee in payees])
    calls = [
        call(raiden.network, topping, i, payer.address, 2 * TOKEN, payee.address) for i, payee in channels
    ]
    await meter.alone("top_up", [(payer, one) for one in calls])
    for i, payee in channels:
        await ground.bench.send(payee, raiden.withdrawal(i, payee, payer, TOKEN // 10))
    later = [(payee, raiden.withdrawal(i, payee, payer, TOKEN // 5)) for i, payee in channels]
    await meter.alone("claim", later, "both sides sign")
    await meter.alone("request_close", [(payer, raiden.close(i, payee, payer)) for i, payee in channels])
    await warp(ground.bench.rpc, SETTLE_SECONDS + 1)
    await meter.alone("withdraw", [(payer, raiden.settle(i, payee, payer)) for i, payee in channels])
    return meter.figures


async def _iou(raiden: Raiden, ground: Ground, counts: Sequence[int]) -> list[Figure]:
    meter, bench = Meter("raiden_onetone", ground.bench), ground.bench
    senders, receivers = ground.payers[: max(counts)], ground.payees[: max(counts)]
    deposits = [receiver.address for receiver in receivers]
    funding, amount = "deposit(address,uint256)", len(receivers) * 10 * TOKEN
    everybody = (ground.payer, *senders, *receivers)  # receivers have a balance there already
    await bench.send_many(
        [(ground.payer, call(raiden.deposits, funding, who.address, amount)) for who in everybody]
    )
    await bench.approve(ground.token, raiden.registry, receivers)
    registering = call(raiden.registry, "deposit(uint256)", 2**90)
    await bench.send_many([(receiver, registering) for receiver in receivers])
    note = "into the receiver's balance in UserDeposit"
    sessions = count(1)
    session = next(sessions)
    own = [
        (one, raiden.claims([(ground.payer, one.address)], TOKEN // 10, session)) for one in receivers[:ALONE]
    ]
    await meter.alone("claim", own, note)
    for operation, rows in (
        ("sweep", [(sender, deposits[0]) for sender in senders]),
        ("relay", [(ground.payer, receiver) for receiver in deposits]),
    ):
        for n in counts:
            session = next(sessions)
            make = partial(raiden.claims, amount=TOKEN // 10, session=session)
            calls = await bench.split(rows[:n], make, receivers[0])
            await meter.batch(operation, n, receivers[0], calls, note)
    return meter.figures
