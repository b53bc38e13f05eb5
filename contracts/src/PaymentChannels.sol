// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {ChannelSlot} from "./ChannelSlot.sol";
import {Drafts} from "./Drafts.sol";
import {IPaymentChannels} from "./IPaymentChannels.sol";
import {MessageHashes} from "./MessageHashes.sol";
import {Signatures} from "./Signatures.sol";
import {Words, allocate} from "./Words.sol";

/// @title Payment channels of Tithebarn
/// @notice Every channel of a chain, in one contract without owner, proxy or fee. See IPaymentChannels.
/// @dev Safe against reentrancy by order: a row's effect is written before its tokens move, and what was read from
/// storage before a transfer is not relied on after it. A failed transfer takes its rows' own steps back.
contract PaymentChannels is IPaymentChannels, EIP712 {
    using Drafts for Words;
    using SafeERC20 for IERC20;

    /// @dev A struct around the word, so that its place in storage is computed once for reading and writing.
    struct Entry {
        ChannelSlot slot;
    }

    /// @dev Words before the rows in the data of Funded and Pushed: signer, challengePeriod, salt, offset, length.
    uint256 private constant LIST_HEAD = 5;

    /// @dev Words before the rows in the data of ClaimedMany: offset, length.
    uint256 private constant TOTALS_HEAD = 2;

    mapping(bytes32 channelId => Entry) private _entries;

    /// @dev OpenZeppelin's own cache compares the address as well, which only a proxy would need: 50 gas a call.
    uint256 private immutable _CHAIN = block.chainid;
    bytes32 private immutable _DOMAIN;

    constructor() EIP712("Tithebarn", "1") {
        _DOMAIN = _domainSeparatorV4();
    }

    // ------------------------------------------------------------------------------------------------------- the payer

    /// @inheritdoc IPaymentChannels
    function fund(address signer, address token, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        external
        returns (uint256 moved)
    {
        if (signer == address(0)) revert ZeroSigner();
        Words draft = Drafts.forPayer(_domain(), msg.sender, signer, token, challengePeriod, salt);
        Words deposits = _list(signer, challengePeriod, salt, rows);
        for (uint256 i; i < rows.length; ++i) {
            (address payee, uint256 target) = _unpack(rows[i]);
            bytes32 id = draft.channelTo(payee);
            Entry storage entry = _entries[id];
            ChannelSlot slot = entry.slot;
            uint256 deposit = slot.deposit();
            // Check:
            if (payee == address(0)) {
                emit Skipped(id, Reason.ZERO_PAYEE);
            } else if (slot.closesAt() != 0) {
                emit Skipped(id, Reason.CLOSING);
            } else if (target > deposit) {
                // Effect:
                unchecked {
                    uint256 step = target - deposit; // just compared
                    entry.slot = slot.raiseDeposit(step);
                    moved += step; // fewer than 2^160 rows
                }
                continue;
            }
            deposits.set(LIST_HEAD + i, _pack(payee, deposit));
        }
        deposits.log3(LIST_HEAD + rows.length, Funded.selector, msg.sender, token);
        // Interaction:
        if (moved != 0) _pull(IERC20(token), msg.sender, moved);
    }

    /// @inheritdoc IPaymentChannels
    function push(address signer, address token, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        external
        returns (uint256 paid)
    {
        Words draft = Drafts.forPayer(_domain(), msg.sender, signer, token, challengePeriod, salt);
        Words totals = _list(signer, challengePeriod, salt, rows);
        for (uint256 i; i < rows.length; ++i) {
            (address payee, uint256 total) = _unpack(rows[i]);
            bytes32 id = draft.channelTo(payee);
            Entry storage entry = _entries[id];
            ChannelSlot slot = entry.slot;
            // Check:
            uint256 claimed = _within(total, slot.deposit());
            if (claimed > slot.claimed()) {
                // Effect:
                uint256 step;
                unchecked {
                    step = claimed - slot.claimed(); // just compared
                }
                entry.slot = slot.raiseClaimed(step);
                // Interaction:
                if (IERC20(token).trySafeTransfer(payee, step)) {
                    unchecked {
                        paid += step; // fewer than 2^160 rows
                    }
                } else {
                    entry.slot = entry.slot.takeBack(step);
                    claimed = entry.slot.claimed();
                    emit Skipped(id, Reason.TRANSFER_FAILED);
                }
            } else {
                claimed = slot.claimed();
                emit Skipped(id, _refusal(slot, payee, total));
            }
            totals.set(LIST_HEAD + i, _pack(payee, claimed));
        }
        totals.log3(LIST_HEAD + rows.length, Pushed.selector, msg.sender, token);
    }

    /// @inheritdoc IPaymentChannels
    function requestClose(
        address signer,
        address token,
        uint32 challengePeriod,
        bytes32 salt,
        address[] calldata payees
    ) external returns (uint256 closing) {
        Words draft = Drafts.forPayer(_domain(), msg.sender, signer, token, challengePeriod, salt);
        uint256 closesAt;
        unchecked {
            closesAt = block.timestamp + challengePeriod;
        }
        for (uint256 i; i < payees.length; ++i) {
            bytes32 id = draft.channelTo(payees[i]);
            Entry storage entry = _entries[id];
            ChannelSlot slot = entry.slot;
            // Check: an empty channel could be aged before it is funded, and the money taken back at once.
            if (slot.closesAt() != 0) {
                emit Skipped(id, Reason.CLOSING);
            } else if (slot.rest() == 0) {
                emit Skipped(id, Reason.EMPTY);
            } else {
                // Effect:
                entry.slot = slot.close(closesAt);
                emit CloseRequested(id, uint40(closesAt));
                unchecked {
                    ++closing; // at most one a row
                }
            }
        }
    }

    /// @inheritdoc IPaymentChannels
    function withdraw(address signer, address token, uint32 challengePeriod, bytes32 salt, address[] calldata payees)
        external
        returns (uint256 returned)
    {
        Words draft = Drafts.forPayer(_domain(), msg.sender, signer, token, challengePeriod, salt);
        for (uint256 i; i < payees.length; ++i) {
            bytes32 id = draft.channelTo(payees[i]);
            Entry storage entry = _entries[id];
            ChannelSlot slot = entry.slot;
            // Check:
            if (slot.closesAt() == 0) {
                emit Skipped(id, Reason.NOT_CLOSING);
            } else if (slot.closesAt() > block.timestamp) {
                emit Skipped(id, Reason.TOO_EARLY);
            } else if (slot.rest() == 0) {
                emit Skipped(id, Reason.EMPTY);
            } else {
                // Effect:
                entry.slot = slot.raiseClaimed(slot.rest());
                emit Withdrawn(id, uint96(slot.rest()));
                unchecked {
                    returned += slot.rest(); // fewer than 2^160 rows
                }
            }
        }
        // Interaction:
        if (returned != 0) IERC20(token).safeTransfer(msg.sender, returned);
    }

    // ------------------------------------------------------------------------------------------------------- the payee

    /// @inheritdoc IPaymentChannels
    function claim(address token, Claim[] calldata rows) external returns (uint256 paid) {
        Words draft = Drafts.forClaims(_domain(), token);
        Words totals = allocate(TOTALS_HEAD + 2 * rows.length);
        totals.set(0, 32);
        totals.set(1, 2 * rows.length);
        Words steps = allocate(rows.length);
        uint256 first; // of the run of rows that one transfer pays
        uint256 sum; // of their steps
        for (uint256 i; i < rows.length; ++i) {
            Claim calldata row = rows[i];
            uint256 named = Drafts.payeeOf(row);
            // Zero means: as the row before.
            if (named != 0) {
                if (named != uint160(draft.payee())) {
                    paid += _payRun(token, draft.payee(), sum, totals, steps, first, i);
                    draft.turnTo(named);
                    first = i;
                    sum = 0;
                }
            }
            unchecked {
                uint256 step = _redeem(draft, totals, TOTALS_HEAD + 2 * i, row);
                steps.set(i, step);
                sum += step; // fewer than 2^160 rows
            }
        }
        paid += _payRun(token, draft.payee(), sum, totals, steps, first, rows.length);
        totals.log2(TOTALS_HEAD + 2 * rows.length, ClaimedMany.selector, token);
    }

    /// @inheritdoc IPaymentChannels
    function claimOne(address token, Claim calldata row) external returns (uint256 paid) {
        Words draft = Drafts.forClaims(_domain(), token);
        Words total = allocate(2);
        draft.turnTo(Drafts.payeeOf(row));
        // Check, Effect:
        paid = _redeem(draft, total, 0, row);
        if (paid == 0) _refuse(draft.channelOf(row), draft);
        bytes32 id = bytes32(total.get(0));
        emit Claimed(id, uint96(total.get(1)));
        // Interaction:
        if (!IERC20(token).trySafeTransfer(draft.payee(), paid)) revert Refused(id, Reason.TRANSFER_FAILED);
    }

    /// @inheritdoc IPaymentChannels
    function release(Terms calldata terms) external returns (uint256 returned) {
        // Check:
        if (msg.sender != terms.payee) revert NotPayee(terms.payee, msg.sender);
        bytes32 id = channelId(terms);
        Entry storage entry = _entries[id];
        ChannelSlot slot = entry.slot;
        if (slot.closesAt() == 0) revert Refused(id, Reason.NOT_CLOSING);
        returned = slot.rest();
        if (returned == 0) revert Refused(id, Reason.EMPTY);
        // Effect:
        entry.slot = slot.raiseClaimed(returned);
        emit Withdrawn(id, uint96(returned));
        // Interaction:
        IERC20(terms.token).safeTransfer(terms.payer, returned);
    }

    // ----------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IPaymentChannels
    function channels(bytes32[] calldata ids) external view returns (Channel[] memory states) {
        states = new Channel[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            ChannelSlot slot = _entries[ids[i]].slot;
            states[i] = Channel(uint96(slot.deposit()), uint96(slot.claimed()), uint40(slot.closesAt()));
        }
    }

    /// @inheritdoc IPaymentChannels
    function channelId(Terms calldata terms) public view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.channel(terms));
    }

    /// @inheritdoc IPaymentChannels
    function voucherDigest(Voucher calldata voucher) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.voucher(voucher));
    }

    // ----------------------------------------------------------------------------------------------------------- steps

    /// @dev Book what a row's voucher is worth and write two words for it from `totals[at]`: the channel's id and its new
    /// total. A refused row has a step and a total of zero.
    function _redeem(Words draft, Words totals, uint256 at, Claim calldata row) private returns (uint256 step) {
        // Check:
        bytes32 id = draft.channelOf(row);
        Entry storage entry = _entries[id];
        ChannelSlot slot = entry.slot;
        uint256 claimed = _within(draft.total(), slot.deposit());
        if (claimed > slot.claimed()) {
            bytes32 digest = draft.voucherOf(id);
            bool signed = Signatures.byKey(draft.signer(), digest, row.r, row.vs);
            if (!signed) signed = Signatures.byAccount(draft.signer(), digest, row.r, row.vs);
            if (signed) {
                // Effect:
                unchecked {
                    step = claimed - slot.claimed(); // compared above
                    totals.set(at, uint256(id));
                    totals.set(at + 1, claimed);
                }
                entry.slot = slot.raiseClaimed(step);
                return step;
            }
        }
        emit Skipped(id, _refusal(slot, draft.payee(), draft.total()));
        totals.set(at, 0);
        totals.set(at + 1, 0);
    }

    /// @dev Pay the rows from `first` to before `end`, all of one payee. If the token refuses, take them back.
    function _payRun(address token, address payee, uint256 sum, Words totals, Words steps, uint256 first, uint256 end)
        private
        returns (uint256 paid)
    {
        if (sum == 0 || IERC20(token).trySafeTransfer(payee, sum)) return sum;
        for (uint256 i = first; i < end; ++i) {
            uint256 step = steps.get(i);
            if (step == 0) continue;
            bytes32 id = bytes32(totals.get(TOTALS_HEAD + 2 * i));
            Entry storage entry = _entries[id];
            entry.slot = entry.slot.takeBack(step);
            totals.set(TOTALS_HEAD + 2 * i, 0);
            totals.set(TOTALS_HEAD + 2 * i + 1, 0);
            emit Skipped(id, Reason.TRANSFER_FAILED);
        }
    }

    /// @dev Take `sum` from `owner`; the balance has to rise by exactly that.
    function _pull(IERC20 token, address owner, uint256 sum) private {
        uint256 balance = token.balanceOf(address(this));
        token.safeTransferFrom(owner, address(this), sum);
        uint256 received = token.balanceOf(address(this)) - balance;
        if (received != sum) revert DepositMismatch(sum, received);
    }

    /// @dev The data of Funded and Pushed, with the rows of the call.
    function _list(address signer, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        private
        pure
        returns (Words list)
    {
        list = allocate(LIST_HEAD + rows.length);
        list.set(0, uint160(signer));
        list.set(1, challengePeriod);
        list.set(2, uint256(salt));
        list.set(3, 32 * 4);
        list.set(4, rows.length);
        uint256 source;
        assembly ("memory-safe") {
            source := rows.offset
        }
        list.copy(LIST_HEAD, source, rows.length);
    }

    /// @dev Why a promise of `total` to `payee` is worth nothing now.
    function _refusal(ChannelSlot slot, address payee, uint256 total) private pure returns (Reason) {
        if (payee == address(0)) return Reason.ZERO_PAYEE;
        if (total <= slot.claimed()) return Reason.STALE;
        return slot.rest() == 0 ? Reason.EMPTY : Reason.BAD_SIGNATURE;
    }

    function _refuse(bytes32 id, Words draft) private view {
        revert Refused(id, _refusal(_entries[id].slot, draft.payee(), draft.total()));
    }

    function _domain() private view returns (bytes32) {
        return block.chainid == _CHAIN ? _DOMAIN : _domainSeparatorV4();
    }

    function _within(uint256 total, uint256 limit) private pure returns (uint256) {
        return total < limit ? total : limit;
    }

    function _unpack(bytes32 row) private pure returns (address payee, uint256 total) {
        return (address(bytes20(row)), uint96(uint256(row)));
    }

    function _pack(address payee, uint256 total) private pure returns (uint256) {
        return uint256(uint160(payee)) << 96 | total;
    }
}
