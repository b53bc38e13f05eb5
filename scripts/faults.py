"""Faults made for our proofs: each breaks the contract at one place, and the proofs named have to notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """In `file` the text `sound`, which stands there once, becomes `fault`; that refutes all of `breaks`."""

    name: str
    file: str
    sound: str
    fault: str
    breaks: tuple[str, ...]


FAULTS = (
    Fault(
        "a deposit is booked whatever the balance did",
        "Fundings.sol",
        "uint256 received = Tokens.take(token, msg.sender, sum);\n        if (received != sum)",
        "uint256 received = Tokens.take(token, msg.sender, sum);\n        if (received > type(uint128).max)",
        ("check_fund", "check_fundTwo", "check_fundTwice", "check_fundOne", "check_fundWithPermit"),
    ),
    Fault(
        "a signed deposit is booked whatever the balance did",
        "Fundings.sol",
        "balanceOf(address(this)) - balance;\n        if (received != sum)",
        "balanceOf(address(this)) - balance;\n        if (received > type(uint128).max)",
        ("check_fundWithAuthorization", "check_fundWithPermit2"),
    ),
    Fault(
        "a push that fails is taken back and one more",
        "PaymentChannels.sol",
        "entry.slot.takeBack(step)",
        "entry.slot.takeBack(step + 1)",
        ("check_push", "check_pushTwice"),
    ),
    Fault(
        "a voucher pays more than the channel holds",
        "Claims.sol",
        "_within(draft.total(), slot.deposit())",
        "draft.total()",
        ("check_claimOne", "check_claimOneProven", "check_claimTwice"),
    ),
    Fault(
        "a refused transfer takes back the rows before it as well",
        "Claims.sol",
        "for (uint256 i = first; i < end; ++i)",
        "for (uint256 i; i < end; ++i)",
        ("check_claimOfTwoPayees",),
    ),
    Fault(
        "a transfer pays the last of its rows only",
        "Claims.sol",
        "sum += step;",
        "sum = step;",
        ("check_claimOfOnePayee",),
    ),
    Fault(
        "a row without proof keeps the condition of the row before",
        "Claims.sol",
        "draft.require_(condition);",
        "if (condition != 0) draft.require_(condition);",
        ("check_claimProvenBeforeNone",),
    ),
    Fault(
        "the first proof stands for those of all rows",
        "Claims.sol",
        "? proofs[i] :",
        "? proofs[0] :",
        ("check_claimProvenBehindNone", "check_claimProvenBehindMalformed"),
    ),
    Fault(
        "a malformed proof stands for none",
        "Claims.sol",
        "return proof.length == 0 || condition != 0;",
        "return true;",
        ("check_claimProvenBeforeMalformed",),
    ),
    Fault(
        "a push ends with the first row that cannot be paid",
        "PaymentChannels.sol",
        "claimed = slot.claimed();\n                emit Skipped(id, _refusal(slot, payee, total));",
        "break;",
        ("check_pushOfTwo",),
    ),
    Fault(
        "a funding ends with the first deposit that rises",
        "Fundings.sol",
        "continue;",
        "break;",
        ("check_fundOfTwo",),
    ),
    Fault(
        "a fee may be above what its row pays",
        "Claims.sol",
        "|| amount > step.get(0)",
        "|| amount > type(uint128).max",
        ("check_relay",),
    ),
    Fault(
        "a channel ages before it is funded",
        "PaymentChannels.sol",
        "if (slot.rest() == 0) {\n                emit Skipped(id, Reason.EMPTY);\n"
        "            } else {\n                // Effect:\n"
        "                entry.slot = slot.close",
        "if (slot.rest() > type(uint128).max) {\n                emit Skipped(id, Reason.EMPTY);\n"
        "            } else {\n"
        "                // Effect:\n                entry.slot = slot.close",
        ("check_requestClose",),
    ),
    Fault(
        "the payer need not wait",
        "PaymentChannels.sol",
        "slot.closesAt() > block.timestamp",
        "slot.closesAt() > type(uint128).max",
        ("check_withdraw",),
    ),
    Fault(
        "anybody ends the wait",
        "PaymentChannels.sol",
        "msg.sender != terms.payee",
        "terms.payee == address(0)",
        ("check_release",),
    ),
    Fault(
        "bytes behind the last item do not matter",
        "Proofs.sol",
        "while (rest.length != 0)",
        "while (rest.length >= SHORTEST_ITEM)",
        ("check_refusesWhatIsTooLong", "check_refusesAnotherLengthOfTheLastLeaf"),
    ),
    Fault(
        "a path may be short",
        "Proofs.sol",
        "if (rest.length < 32) return (0, rest);",
        "if (rest.length < 32) return (node, rest[rest.length:]);",
        ("check_refusesWhatIsTooShort",),
    ),
    Fault(
        "the last leaf may be longer than a leaf",
        "Proofs.sol",
        "size == 0 || size > LEAF_SIZE",
        "size == type(uint256).max",
        ("check_refusesALastLeafOfNoOrTooManyBytes",),
    ),
    Fault(
        "an index may be that of a larger tree",
        "Proofs.sol",
        " || index >= leafCount",
        "",
        ("check_refusesAnIndexOutsideTheTree",),
    ),
    Fault(
        "an item may have five indices",
        "Proofs.sol",
        "count > MOST_INDICES",
        "count > MOST_INDICES + 1",
        ("check_refusesAnyNumberOfIndicesButOneToFour",),
    ),
    Fault(
        "one leaf may be shown twice",
        "Proofs.sol",
        "lowest = index + 1",
        "lowest = index",
        ("check_refusesIndicesThatDoNotRise",),
    ),
    Fault(
        "no proof is good",
        "Proofs.sol",
        "if (item == 0) return 0;",
        "if (item != 0) return 0;",
        ("check_takesTheRightLength",),
    ),
)
