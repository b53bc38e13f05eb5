"""Proofs packed in Python, read by the contract: random challenges, and every way to falsify them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from node.audit import Challenge, Item, ItemProof, Proof, challenge_digest, choose_indices
from node.merkle import HASH_SIZE, LEAF_SIZE, build_tree
from node.packed_proof import pack_proof
from payments.eip712 import Domain
from payments.types import Address, Amount, Seconds
from payments.vouchers import Terms, Voucher, channel_id, sign_voucher
from settlement.chain_events import ChainEvent, ChannelClaimed, Reason, RowSkipped, key, read_events, row
from settlement.rpc import Log
from settlement.wallet import new_key
from tests.contracts.compiler import compile_support, deploy, deploy_code
from tests.node.support import make_item_proof

DOMAIN = Domain(31337, Address(b"\x11" * 20))
PERIOD = Seconds(3600)
SALT = b"\x5a" * 32
ROUNDS = 25


@pytest.fixture(scope="module")
def harness(tester: Web3) -> Contract:
    built = compile_support()["ProofsHarness"]
    return deploy_code(tester, built["abi"], built["bytecode"])


def made_up(dice: random.Random) -> tuple[Challenge, Proof]:
    """A challenge of one to three items over shards of 1 to 40 leaves, and its proof."""
    items, parts = [], []
    for _ in range(dice.randint(1, 3)):
        shard = dice.randbytes(dice.choice([1, LEAF_SIZE, dice.randint(1, 40 * LEAF_SIZE)]))
        tree = build_tree(shard)
        indices = choose_indices(tree.leaf_count, dice.randint(1, 4), dice.randbytes(32))
        items.append(Item(dice.randbytes(32), tree.root, tree.leaf_count, indices))
        leaves = [shard[at : at + LEAF_SIZE] for at in range(0, len(shard), LEAF_SIZE)]
        parts.append(make_item_proof(items[-1], tree, leaves.__getitem__))
    return Challenge(dice.randbytes(32), tuple(items)), Proof(tuple(parts))


def falsified(dice: random.Random, challenge: Challenge, proof: Proof) -> Iterator[tuple[str, bytes]]:
    """Every kind of lie about this audit."""
    packed = pack_proof(challenge, proof)
    place = dice.randrange(len(packed))
    yield "bit", packed[:place] + bytes([packed[place] ^ 1 << dice.randrange(8)]) + packed[place + 1 :]
    yield "cut", packed[:place]
    yield "cut in front", packed[place + 1 :]
    yield "longer", packed + dice.randbytes(dice.choice([1, 32, 1024]))
    yield "a byte more within", packed[:place] + b"\0" + packed[place:]
    yield "audit", pack_proof(replace(challenge, audit_id=dice.randbytes(32)), proof)
    yield "no items", challenge.audit_id
    yield "item twice", packed + pack_proof(challenge, proof)[32:]
    item, part = challenge.items[0], proof.items[0]
    rest, others = challenge.items[1:], proof.items[1:]

    def lie(item: Item, part: ItemProof = part) -> bytes:
        return pack_proof(Challenge(challenge.audit_id, (item, *rest)), Proof((part, *others)))

    yield "agreement", lie(replace(item, agreement=dice.randbytes(32)))
    yield "tree size", lie(replace(item, leaf_count=item.leaf_count + 1))
    yield "tree size by a bit", lie(replace(item, leaf_count=item.leaf_count ^ 1 << 40))
    yield "index", lie(replace(item, indices=(*item.indices[:-1], item.indices[-1] + 1)))
    yield "index by a bit", lie(replace(item, indices=(*item.indices[:-1], item.indices[-1] ^ 1)))
    if item.leaf_count > 2:
        path = part.paths[-1]
        swapped = (*path[1::-1], *path[2:])
        if swapped != path:
            yield "siblings", lie(item, replace(part, paths=(*part.paths[:-1], swapped)))
        yield "shorter path", lie(item, replace(part, paths=(*part.paths[:-1], path[1:])))
        yield "padded path", lie(item, replace(part, paths=(*part.paths[:-1], (*path, bytes(HASH_SIZE)))))
    if len(challenge.items) > 1:
        turned = Challenge(challenge.audit_id, challenge.items[::-1])
        yield "order", pack_proof(turned, Proof(proof.items[::-1]))


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_contract_computes_the_condition_that_python_computes(harness: Contract, seed: int) -> None:
    challenge, proof = made_up(random.Random(seed))
    packed = pack_proof(challenge, proof)
    condition = harness.functions.conditionOf(packed, DOMAIN.separator).call()
    assert condition == challenge_digest(DOMAIN, challenge)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_no_falsified_proof_leads_to_the_condition(harness: Contract, seed: int) -> None:
    dice = random.Random(1000 + seed)
    challenge, proof = made_up(dice)
    for kind, lie in falsified(dice, challenge, proof):
        condition = harness.functions.conditionOf(lie, DOMAIN.separator).call()
        assert condition != challenge_digest(DOMAIN, challenge), kind


def test_structural_faults_have_no_condition(harness: Contract) -> None:
    dice = random.Random(7)
    challenge, proof = made_up(dice)
    packed = pack_proof(challenge, proof)
    broken = [
        b"",
        packed[:31],
        packed[:32],
        packed[:-1],
        packed + b"\0",
        packed[:64] + bytes(8) + packed[72:],
    ]
    for lie in broken:
        assert harness.functions.conditionOf(lie, DOMAIN.separator).call() == bytes(32)


class World:
    """Contracts on an embedded chain and a payer with money."""

    def __init__(self, web3: Web3) -> None:
        self.web3 = web3
        self.payer = web3.eth.accounts[0]
        self.token = deploy(web3, "StorageToken", self.payer)
        self.channels = deploy(web3, "PaymentChannels")
        self.signer = new_key()
        self.domain = Domain(web3.eth.chain_id, address(self.channels.address))
        self.send(self.token.functions.approve(self.channels.address, 2**256 - 1))

    def send(self, call: ContractFunction) -> tuple[ChainEvent, ...]:
        receipt = self.web3.eth.wait_for_transaction_receipt(call.transact({"from": self.payer}))
        assert receipt["status"] == 1
        return read_events(
            self.domain,
            [
                Log(
                    address=address(log["address"]),
                    topics=tuple(bytes(topic) for topic in log["topics"]),
                    data=bytes(log["data"]),
                    block_number=log["blockNumber"],
                    block_hash=bytes(log["blockHash"]),
                    transaction=bytes(log["transactionHash"]),
                    index=log["logIndex"],
                )
                for log in receipt["logs"]
            ],
        )

    def fund(self, payees: Sequence[Address]) -> None:
        rows = [row(payee, Amount(10)) for payee in payees]
        self.send(
            self.channels.functions.fund(
                to_checksum_address(self.signer.address), self.token.address, PERIOD, SALT, rows
            )
        )

    def claim(self, payee: Address, condition: bytes) -> tuple[bytes, tuple[object, ...]]:
        """The channel to a payee, and a row that claims all it holds under a condition."""
        payer, token = address(self.payer), address(self.token.address)
        terms = Terms(payer, self.signer.address, payee, token, PERIOD, SALT)
        id_ = channel_id(self.domain, terms)
        signature = sign_voucher(self.domain, Voucher(id_, Amount(10), condition), self.signer).signature
        words = (key(self.signer.address, PERIOD), row(payee, Amount(10)), SALT)
        return id_, (self.payer, *words, signature[:32], signature[32:])


def address(shown: str) -> Address:
    return Address(bytes.fromhex(shown[2:]))


def test_only_rows_with_a_falsified_proof_are_skipped(tester: Web3) -> None:
    """In one transaction; beside each lie stands a truth, which is paid."""
    world = World(tester)
    dice = random.Random(3)
    challenge, proof = made_up(dice)
    condition, truth = challenge_digest(world.domain, challenge), pack_proof(challenge, proof)
    proofs = [part for _, lie in falsified(dice, challenge, proof) for part in (lie, truth)]
    payees = [Address(dice.randbytes(20)) for _ in proofs]
    world.fund(payees)
    keys, rows = zip(*[world.claim(payee, condition) for payee in payees], strict=True)
    calls = world.channels.functions
    logs = world.send(calls.claimProven(world.token.address, rows, proofs))
    claimed = [event for event in logs if isinstance(event, ChannelClaimed)]
    assert [event.channel_id for event in claimed] == list(keys[1::2])
    skipped = {event.channel_id: event.reason for event in logs if isinstance(event, RowSkipped)}
    assert set(skipped) == set(keys[::2])
    assert set(skipped.values()) == {Reason.BAD_PROOF, Reason.BAD_SIGNATURE}
