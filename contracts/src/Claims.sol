// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {ChannelSlot} from "./ChannelSlot.sol";
import {ChannelStore} from "./ChannelStore.sol";
import {Drafts} from "./Drafts.sol";
import {IPaymentChannels} from "./IPaymentChannels.sol";
import {MessageHashes} from "./MessageHashes.sol";
import {Proofs} from "./Proofs.sol";
import {Signatures} from "./Signatures.sol";
import {Words, allocate} from "./Words.sol";

/// @title How vouchers become tokens: one alone, many of many payers, many by a relayer
abstract contract Claims is ChannelStore {
    using Drafts for Words;
    using SafeERC20 for IERC20;

    /// @dev Words before the rows in the data of ClaimedMany and Relayed: offset, length.
    uint256 private constant TOTALS_HEAD = 2;

    /// @dev Rows on their way. A run is neighbouring rows of one payee, paid by one transfer.
    struct Batch {
        address token;
        Words draft;
        Words totals; // data of the event
        Words steps; // what each row has raised `claimed` by
        uint256 first; // row of the run
        uint256 sum; // of the run's steps, without fees
        uint256 fees; // of the run
        uint256 paid;
        uint256 kept; // of what was paid: the fees, which are still here
    }

    /// @inheritdoc IPaymentChannels
    function claim(address token, Claim[] calldata rows) external returns (uint256 paid) {
        Batch memory batch = _claimMany(token, rows, _noFees(), _noProofs());
        batch.totals.log2(TOTALS_HEAD + 2 * rows.length, ClaimedMany.selector, token);
        return batch.paid;
    }

    /// @inheritdoc IPaymentChannels
    function claimProven(address token, Claim[] calldata rows, bytes[] calldata proofs)
        external
        returns (uint256 paid)
    {
        Batch memory batch = _claimMany(token, rows, _noFees(), proofs);
        batch.totals.log2(TOTALS_HEAD + 2 * rows.length, ClaimedMany.selector, token);
        return batch.paid;
    }

    /// @inheritdoc IPaymentChannels
    function relay(address token, Claim[] calldata rows, Fee[] calldata fees, bytes[] calldata proofs)
        external
        returns (uint256 paid)
    {
        Batch memory batch = _claimMany(token, rows, fees, proofs);
        batch.totals.log3(TOTALS_HEAD + 2 * rows.length, Relayed.selector, token, msg.sender);
        // Interaction:
        if (batch.kept != 0) IERC20(token).safeTransfer(msg.sender, batch.kept);
        return batch.paid;
    }

    /// @inheritdoc IPaymentChannels
    function claimOne(address token, Claim calldata row) external returns (uint256 paid) {
        return _claimAlone(token, row, msg.data[0:0]);
    }

    /// @inheritdoc IPaymentChannels
    function claimOneProven(address token, Claim calldata row, bytes calldata proof) external returns (uint256 paid) {
        return _claimAlone(token, row, proof);
    }

    /// @inheritdoc IPaymentChannels
    function relayFeeDigest(RelayFee calldata fee) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.relayFee(fee));
    }

    /// @inheritdoc IPaymentChannels
    function conditionOf(bytes calldata proof) external view returns (bytes32) {
        return Proofs.conditionOf(proof, _domain());
    }

    function _claimAlone(address token, Claim calldata row, bytes calldata proof) private returns (uint256 paid) {
        Words draft = Drafts.forClaims(_domain(), token);
        address named = Drafts.payeeOf(row);
        if (named != address(0)) draft.turnTo(named);
        // Check:
        (bytes32 id, Entry storage entry, ChannelSlot slot, uint256 step, Reason reason) = _check(draft, row, proof);
        if (reason != Reason.NONE) revert Refused(id, reason);
        // Effect:
        slot = slot.raiseClaimed(step);
        entry.slot = slot;
        emit Claimed(id, uint96(slot.claimed()));
        // Interaction:
        if (!IERC20(token).trySafeTransfer(draft.payee(), step)) revert Refused(id, Reason.TRANSFER_FAILED);
        return step;
    }

    /// @dev Claim rows and pay their payees. The event and the relayer's fees are left to the caller.
    function _claimMany(address token, Claim[] calldata rows, Fee[] calldata fees, bytes[] calldata proofs)
        private
        returns (Batch memory batch)
    {
        Words draft = Drafts.forClaims(_domain(), token);
        (batch.token, batch.draft) = (token, draft);
        batch.totals = allocate(TOTALS_HEAD + 2 * rows.length);
        batch.totals.set(0, 32);
        batch.totals.set(1, 2 * rows.length);
        batch.steps = allocate(rows.length);
        for (uint256 i; i < rows.length; ++i) {
            address named = Drafts.payeeOf(rows[i]);
            // Zero means: as the row before.
            if (named != address(0) && named != draft.payee()) {
                _payRun(batch, i);
                draft.turnTo(named);
            }
            _claimRow(batch, i, rows[i], fees, i < proofs.length ? proofs[i] : msg.data[0:0]);
        }
        _payRun(batch, rows.length);
    }

    function _claimRow(Batch memory batch, uint256 i, Claim calldata row, Fee[] calldata fees, bytes calldata proof)
        private
    {
        // Check:
        (bytes32 id, Entry storage entry, ChannelSlot slot, uint256 step, Reason reason) =
            _check(batch.draft, row, proof);
        uint256 fee;
        if (reason == Reason.NONE && i < fees.length) (fee, reason) = _checkFee(batch.draft, id, slot, step, fees[i]);
        if (reason != Reason.NONE) return _skip(batch, i, id, reason);
        // Effect:
        slot = slot.raiseClaimed(step);
        entry.slot = slot;
        batch.totals.set(TOTALS_HEAD + 2 * i, uint256(id));
        batch.totals.set(TOTALS_HEAD + 2 * i + 1, fee << 96 | slot.claimed());
        batch.steps.set(i, step);
        unchecked {
            batch.sum += step - fee; // fee <= step; fewer than 2^160 rows
            batch.fees += fee;
        }
    }

    /// @dev What a row's voucher is worth now, or why nothing.
    function _check(Words draft, Claim calldata row, bytes calldata proof)
        private
        view
        returns (bytes32 id, Entry storage entry, ChannelSlot slot, uint256 step, Reason reason)
    {
        id = draft.channelOf(row);
        entry = _entries[id];
        slot = entry.slot;
        uint256 claimed = _within(draft.total(), slot.deposit());
        if (claimed <= slot.claimed()) {
            return (id, entry, slot, 0, draft.total() > slot.claimed() ? Reason.EMPTY : Reason.STALE);
        }
        bytes32 condition;
        if (proof.length != 0) {
            condition = Proofs.conditionOf(proof, _domain());
            if (condition == 0) return (id, entry, slot, 0, Reason.BAD_PROOF);
        }
        bytes32 digest = draft.voucherOf(id, condition);
        if (!Signatures.by(draft.signer(), digest, row.r, row.vs)) return (id, entry, slot, 0, Reason.BAD_SIGNATURE);
        unchecked {
            step = claimed - slot.claimed(); // compared above
        }
    }

    /// @dev What the caller may keep of a row that is worth `step`, or why the row is skipped.
    function _checkFee(Words draft, bytes32 id, ChannelSlot slot, uint256 step, Fee calldata fee)
        private
        view
        returns (uint256 amount, Reason reason)
    {
        uint256 terms = uint256(fee.terms);
        amount = terms >> 160;
        // A channel that holds less than the voucher says pays without a fee; the rest of the money can still bear it.
        if (amount == 0 || slot.deposit() < draft.total()) return (0, Reason.NONE);
        uint256 maximum = uint96(terms >> 64);
        uint256 deadline = uint64(terms);
        if (amount > maximum || amount > step) return (0, Reason.FEE_TOO_HIGH);
        if (block.timestamp > deadline) return (0, Reason.FEE_EXPIRED);
        bytes32 digest = draft.feeOf(id, maximum, deadline);
        if (!Signatures.by(draft.payee(), digest, fee.r, fee.vs)) return (0, Reason.FEE_UNSIGNED);
    }

    /// @dev Pay the run that ends before row `end`, and begin the next. If the token refuses, take its rows back.
    function _payRun(Batch memory batch, uint256 end) private {
        (uint256 sum, uint256 fees) = (batch.sum, batch.fees);
        if (sum == 0 || IERC20(batch.token).trySafeTransfer(batch.draft.payee(), sum)) {
            unchecked {
                batch.paid += sum + fees; // fewer than 2^160 rows
                batch.kept += fees;
            }
        } else {
            _takeBack(batch, end);
        }
        (batch.first, batch.sum, batch.fees) = (end, 0, 0);
    }

    function _takeBack(Batch memory batch, uint256 end) private {
        for (uint256 i = batch.first; i < end; ++i) {
            uint256 step = batch.steps.get(i);
            if (step == 0) continue;
            bytes32 id = bytes32(batch.totals.get(TOTALS_HEAD + 2 * i));
            Entry storage entry = _entries[id];
            entry.slot = entry.slot.takeBack(step);
            _skip(batch, i, id, Reason.TRANSFER_FAILED);
        }
    }

    function _skip(Batch memory batch, uint256 i, bytes32 id, Reason reason) private {
        batch.totals.set(TOTALS_HEAD + 2 * i, 0);
        batch.totals.set(TOTALS_HEAD + 2 * i + 1, 0);
        batch.steps.set(i, 0);
        emit Skipped(id, reason);
    }

    function _noFees() private pure returns (Fee[] calldata none) {
        assembly ("memory-safe") {
            none.offset := 0
            none.length := 0
        }
    }

    function _noProofs() private pure returns (bytes[] calldata none) {
        assembly ("memory-safe") {
            none.offset := 0
            none.length := 0
        }
    }
}
