// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ChannelSlot} from "./ChannelSlot.sol";
import {Claims} from "./Claims.sol";
import {Drafts} from "./Drafts.sol";
import {Fundings} from "./Fundings.sol";
import {IPaymentChannels} from "./IPaymentChannels.sol";
import {MessageHashes} from "./MessageHashes.sol";
import {Tokens} from "./Tokens.sol";
import {Words} from "./Words.sol";

/// @title Payment channels of Tithebarn
/// @notice Every channel of a chain, in one contract without owner, proxy or fee. See IPaymentChannels.
/// @dev Safe against reentrancy by order: a row's effect is written before its tokens move, and what was read from
/// storage before a transfer is not relied on after it. A failed transfer takes its rows' own steps back.
contract PaymentChannels is Fundings, Claims {
    using Drafts for Words;

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
                if (Tokens.trySend(token, payee, step)) {
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
        if (returned != 0) Tokens.send(token, msg.sender, returned);
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
        Tokens.send(terms.token, terms.payer, returned);
    }

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
}
