"""Transactions packed and signed by hand equal those of eth-account, byte for byte."""

import rlp as reference
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from payments.types import Address
from payments.vouchers import SigningKey
from settlement.rpc import Fees
from settlement.transactions import Transaction, rlp, sign_transaction

numbers = st.integers(0, 2**63)
items = st.recursive(
    st.one_of(st.binary(max_size=80), st.integers(0, 2**256)), lambda inner: st.lists(inner, max_size=8)
)
transactions = st.builds(
    Transaction,
    chain_id=st.integers(1, 2**48),
    nonce=numbers,
    to=st.one_of(st.none(), st.binary(min_size=20, max_size=20).map(Address)),
    data=st.binary(max_size=300),
    value=st.integers(0, 2**90),
    gas=st.integers(21_000, 2**40),
    fees=st.builds(Fees, cap=numbers, priority=st.one_of(st.none(), numbers)),
)
keys = st.integers(1, 2**255).map(lambda number: SigningKey(number.to_bytes(32)))


@given(items)
def test_rlp_equals_the_reference(item: object) -> None:
    assert rlp(item) == reference.encode(item)


@given(transactions, keys)
def test_signed_transactions_equal_eth_account_s(transaction: Transaction, key: SigningKey) -> None:
    fields = {
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "to": transaction.to or b"",
        "data": transaction.data,
        "value": transaction.value,
        "gas": transaction.gas,
    }
    if transaction.fees.priority is None:
        fields["gasPrice"] = transaction.fees.cap
    else:
        fields |= {"maxFeePerGas": transaction.fees.cap, "maxPriorityFeePerGas": transaction.fees.priority}
        fields["type"] = 2
    expected = Account.sign_transaction(fields, key.secret)
    signed = sign_transaction(transaction, key)
    assert (signed.raw, signed.hash) == (bytes(expected.raw_transaction), bytes(expected.hash))
