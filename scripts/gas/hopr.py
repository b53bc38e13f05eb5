"""HOPR 1.91.24's HoprChannels: one-way channels that pay by tickets, each of which wins by chance.

Measured with tickets that always win. Both sides must have announced a public key, and the payee must have
committed to a secret before its first ticket: neither is in the figures. Several calls of one sender go in
one transaction by `multicall`. The constructor speaks to the ERC-1820 registry, in whose place a contract
stands here that accepts everything; no measured call uses it. HOPR's own token is an ERC-777; here it is
the common ERC-20.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coincurve import PublicKey

from payments.eip712 import keccak, word
from payments.types import Address
from payments.vouchers import SigningKey
from scripts.gas.bench import TOKEN, call
from scripts.gas.meter import ALONE, Figure, Ground, Meter, personal, sign65
from scripts.gas.packages import Package, deploy
from settlement.calls import Call
from settlement.local_chain import warp

PACKAGE = Package(
    "npm",
    "@hoprnet/hopr-ethereum",
    "1.91.24",
    "hoprnet-hopr-ethereum-1.91.24.tgz",
    "cdd3913effd448d09a4c7b3c2f05d7b1349e00167b599f3fec6dd0b548875b67",
)
COMPILED = "package/deployments/monte_rosa/xdai/HoprChannels.json"
REGISTRY = bytes.fromhex("1820a4b7618bde71dce8cdc73aab6c95905fad24")
ACCEPT_ALL = b"\x00"
"""Runtime code of one STOP."""
CLOSURE_SECONDS = 300
TICKETS = 8
"""Most tickets of a channel that are redeemed here."""
ALWAYS = 2**256 - 1


Rows = Callable[[int], tuple[SigningKey, list[Call]]]
"""Sender and calls for the place of a count among the counts."""


def public_bytes(key: SigningKey) -> bytes:
    """The 64 bytes an address is the hash of."""
    return PublicKey.from_secret(key.secret).format(compressed=False)[1:]


def commitments(payee: SigningKey) -> list[bytes]:
    """A chain of hashes, last first: each ticket reveals the one before."""
    chain = [keccak(payee.address)]
    while len(chain) <= TICKETS:
        chain.append(keccak(chain[-1]))
    return chain[::-1]


def redeem(contract: Address, payee: SigningKey, index: int, payer: SigningKey) -> Call:
    """Redeem the `index`-th ticket (from 1) of a channel's first life."""
    secret = keccak(b"response" + word(index))
    challenge = keccak(public_bytes(SigningKey(secret)))[12:]
    amount = TOKEN // 100
    ticket = payee.address + challenge + word(1) + word(amount) + word(ALWAYS) + word(index) + word(1)
    signature = sign65(payer, personal(keccak(ticket)))
    return call(
        contract,
        "redeemTicket(address,bytes32,uint256,uint256,bytes32,uint256,uint256,bytes)",
        *(payer.address, commitments(payee)[index], 1, index, secret, amount, ALWAYS, signature),
    )


@dataclass
class Hopr:
    """The deployed contract and who measures with it."""

    ground: Ground
    contract: Address
    counts: Sequence[int]
    meter: Meter

    def together(self, calls: Sequence[Call]) -> Call:
        """Several calls of one sender in one transaction; one by itself goes directly."""
        if len(calls) == 1:
            return calls[0]
        return call(self.contract, "multicall(bytes[])", [one.data for one in calls])

    def funded(self, source: SigningKey, payee: SigningKey) -> Call:
        """Put a token into the channel; whoever sends it pays."""
        signature = "fundChannelMulti(address,address,uint256,uint256)"
        return call(self.contract, signature, source.address, payee.address, TOKEN, 0)

    def committed(self, source: SigningKey, payee: SigningKey) -> Call:
        """The payee makes itself ready for tickets."""
        return call(self.contract, "bumpChannel(address,bytes32)", source.address, commitments(payee)[0])

    async def send_all(self, sender: SigningKey, calls: Sequence[Call]) -> None:
        """Send calls unmeasured, in as few transactions as will do."""
        for one in await self.ground.bench.split(calls, self.together, sender):
            await self.ground.bench.send(sender, one)

    async def batches(self, operation: str, rows: Rows) -> None:
        """Measure an operation at every count."""
        for place, n in enumerate(self.counts):
            sender, calls = rows(place)
            made = await self.ground.bench.split(calls, self.together, sender)
            await self.meter.batch(operation, n, sender, made)


async def open_ground(ground: Ground, counts: Sequence[int]) -> Hopr:
    """Deploy the contract and let everybody announce themselves."""
    bench = ground.bench
    await bench.rpc.request("anvil_setCode", REGISTRY, ACCEPT_ALL)
    compiled = PACKAGE.read(COMPILED)["bytecode"]
    contract = await deploy(bench, compiled, "(address,uint32)", ground.token, CLOSURE_SECONDS)
    await bench.approve(ground.token, contract, [ground.payer])
    announcing = "announce(bytes,bytes)"
    everybody = (*ground.payees, *ground.payers)
    await bench.send_many([(who, call(contract, announcing, public_bytes(who), b"")) for who in everybody])
    return Hopr(ground, contract, counts, Meter("hopr", bench))


async def measure(ground: Ground, counts: Sequence[int]) -> list[Figure]:
    """Measure opening, topping up, redeeming and leaving; every count has a source of its own."""
    hopr = await open_ground(ground, counts)
    payer, sources, payees = ground.payer, ground.payers[: len(counts)], ground.payees
    await _sweeps(hopr, payees[-1])

    def funding(place: int) -> tuple[SigningKey, list[Call]]:
        return payer, [hopr.funded(sources[place], payee) for payee in payees[: counts[place]]]

    await hopr.batches("open", funding)
    await hopr.batches("top_up", funding)
    await _claims(hopr, sources[-1], payees[: min(ALONE, counts[-1])])

    def leaving(signature: str) -> Rows:
        return lambda place: (
            sources[place],
            [call(hopr.contract, signature, payee.address) for payee in payees[: counts[place]]],
        )

    await hopr.batches("request_close", leaving("initiateChannelClosure(address)"))
    await warp(ground.bench.rpc, CLOSURE_SECONDS + 1)
    await hopr.batches("withdraw", leaving("finalizeChannelClosure(address)"))
    return hopr.meter.figures


async def _claims(hopr: Hopr, source: SigningKey, payees: Sequence[SigningKey]) -> None:
    """Payees redeem by themselves, one ticket each and then a second one, which is measured."""
    for payee in payees:
        await hopr.ground.bench.send(payee, hopr.committed(source, payee))
        await hopr.ground.bench.send(payee, redeem(hopr.contract, payee, 1, source))
    await hopr.meter.alone("claim", [(payee, redeem(hopr.contract, payee, 2, source)) for payee in payees])


async def _sweeps(hopr: Hopr, farmer: SigningKey) -> None:
    """One payee redeems the tickets of many sources: the first of each beforehand, later ones measured."""
    sources = hopr.ground.payers[: hopr.counts[-1]]
    await hopr.send_all(hopr.ground.payer, [hopr.funded(source, farmer) for source in sources])
    await hopr.send_all(farmer, [hopr.committed(source, farmer) for source in sources])
    await hopr.send_all(farmer, [redeem(hopr.contract, farmer, 1, source) for source in sources])
    tickets = {source.address: 1 for source in sources}

    def next_ticket(source: SigningKey) -> Call:
        tickets[source.address] += 1
        return redeem(hopr.contract, farmer, tickets[source.address], source)

    await hopr.batches(
        "sweep", lambda place: (farmer, [next_ticket(one) for one in sources[: hopr.counts[place]]])
    )
