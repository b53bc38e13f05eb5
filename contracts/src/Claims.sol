// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ChannelSlot} from "./ChannelSlot.sol";
import {ChannelStore} from "./ChannelStore.sol";
import {Drafts} from "./Drafts.sol";
import {IPaymentChannels} from "./IPaymentChannels.sol";
import {MessageHashes} from "./MessageHashes.sol";
import {Proofs} from "./Proofs.sol";
import {Signatures} from "./Signatures.sol";
import {Tokens} from "./Tokens.sol";
import {Words, allocate} from "./Words.sol";

/// @title How vouchers become tokens: one alone, many of many payers, many by a relayer
abstract contract Claims is ChannelStore {
    using Drafts for Words;

    /// @dev Words before the rows in the data of ClaimedMany and Relayed: offset, length.
    uint256 private constant TOTALS_HEAD = 2;

    /// @dev Lowest bit of the fee in a total's word.
    uint256 private constant FEE = 96;

    /// @inheritdoc IPaymentChannels
    function claim(address token, Claim[] calldata rows) external returns (uint256 paid) {
        Words totals;
        (totals, paid) = _claimMany(token, rows, _noFees(), _noProofs());
        totals.log2(TOTALS_HEAD + 2 * rows.length, ClaimedMany.selector, token);
    }

    /// @inheritdoc IPaymentChannels
    function claimProven(address token, Claim[] calldata rows, bytes[] calldata proofs)
        external
        returns (uint256 paid)
    {
        Words totals;
        (totals, paid) = _claimMany(token, rows, _noFees(), proofs);
        totals.log2(TOTALS_HEAD + 2 * rows.length, ClaimedMany.selector, token);
    }

    /// @inheritdoc IPaymentChannels
    function relay(address token, Claim[] calldata rows, Fee[] calldata fees, bytes[] calldata proofs)
        external
        returns (uint256 paid)
    {
        Words totals;
        (totals, paid) = _claimMany(token, rows, fees, proofs);
        totals.log3(TOTALS_HEAD + 2 * rows.length, Relayed.selector, token, msg.sender);
        uint256 kept;
        unchecked {
            for (uint256 i; i < rows.length; ++i) {
                kept += totals.get(TOTALS_HEAD + 2 * i + 1) >> FEE; // fewer than 2^160 rows
            }
            paid += kept; // all of it is in channels of the token, whose supply is a uint256
        }
        // Interaction:
        if (kept != 0) Tokens.send(token, msg.sender, kept);
    }

    /// @inheritdoc IPaymentChannels
    function claimOne(address token, Claim calldata row) external returns (uint256 paid) {
        return _claimAlone(Drafts.forClaim(_domain(), token, row), token, row);
    }

    /// @inheritdoc IPaymentChannels
    function claimOneProven(address token, Claim calldata row, bytes calldata proof) external returns (uint256 paid) {
        Words draft = Drafts.forClaim(_domain(), token, row);
        if (!_answer(draft, proof)) revert Refused(draft.channelOf(row), Reason.BAD_PROOF);
        return _claimAlone(draft, token, row);
    }

    function _claimAlone(Words draft, address token, Claim calldata row) private returns (uint256 paid) {
        Words total = allocate(2);
        // Check, Effect:
        paid = _redeem(draft, total, row);
        if (paid == 0) _refuse(draft.channelOf(row), draft);
        bytes32 id = bytes32(total.get(0));
        emit Claimed(id, uint96(total.get(1)));
        // Interaction:
        if (!Tokens.trySend(token, draft.payee(), paid)) revert Refused(id, Reason.TRANSFER_FAILED);
    }

    /// @dev Claim rows and pay their payees. The event, whose data are the totals, and the relayer's fees, which are
    /// among the totals and not in what was paid, are left to the caller.
    function _claimMany(address token, Claim[] calldata rows, Fee[] calldata fees, bytes[] calldata proofs)
        private
        returns (Words totals, uint256 paid)
    {
        Words draft = Drafts.forClaims(_domain(), token);
        totals = allocate(TOTALS_HEAD + 2 * rows.length);
        totals.set(0, 32);
        totals.set(1, 2 * rows.length);
        Words steps = allocate(rows.length);
        if (fees.length != 0) draft.forRelayer();
        uint256 first; // of the run of rows that one transfer pays
        uint256 sum; // of their steps, without fees
        for (uint256 i; i < rows.length; ++i) {
            Claim calldata row = rows[i];
            address named = Drafts.payeeOf(row);
            // Zero means: as the row before.
            if (named != address(0)) {
                if (named != draft.payee()) {
                    paid += _payRun(token, draft.payee(), sum, totals, steps, first, i);
                    draft.turnTo(named);
                    first = i;
                    sum = 0;
                }
            }
            if (Drafts.namesPayer(row)) draft.turnToTermsOf(row);
            Words place = totals.from(TOTALS_HEAD + 2 * i);
            if (proofs.length != 0) {
                if (!_answer(draft, i < proofs.length ? proofs[i] : msg.data[0:0])) {
                    steps.set(i, 0);
                    _skip(place, draft.channelOf(row), Reason.BAD_PROOF);
                    continue;
                }
            }
            // Check, Effect:
            uint256 step = _redeem(draft, place, row);
            steps.set(i, step);
            unchecked {
                sum += step; // fewer than 2^160 rows
                if (i < fees.length) {
                    if (step != 0) sum -= _keepFee(draft, place, steps.from(i), fees[i]); // at most step
                }
            }
        }
        paid += _payRun(token, draft.payee(), sum, totals, steps, first, rows.length);
    }

    /// @dev Book what a row's voucher is worth and write the channel's id and its new total to `place`. A refused row has
    /// a step, an id and a total of zero.
    function _redeem(Words draft, Words place, Claim calldata row) private returns (uint256 step) {
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
                }
                place.set(0, uint256(id));
                place.set(1, claimed);
                entry.slot = slot.raiseClaimed(step);
                return step;
            }
        }
        _skip(place, id, _refusal(slot, draft.payee(), draft.total()));
    }

    /// @dev Let the draft's vouchers have the condition that the proof makes good. False: it is malformed.
    function _answer(Words draft, bytes calldata proof) private view returns (bool) {
        bytes32 condition = proof.length == 0 ? bytes32(0) : Proofs.conditionOf(proof, _domain());
        draft.require_(condition);
        return proof.length == 0 || condition != 0;
    }

    /// @dev Note what the caller keeps of a redeemed row, and return it. If it may not, the row is taken back, and all of
    /// its step returned.
    function _keepFee(Words draft, Words place, Words step, Fee calldata fee) private returns (uint256 amount) {
        uint256 terms = uint256(fee.terms);
        amount = terms >> 160;
        // A channel that holds less than promised pays without a fee; the rest of the money can still bear it.
        if (amount == 0 || place.get(1) != draft.total()) return 0;
        Reason reason = Reason.FEE_UNSIGNED;
        if (amount > uint96(terms >> 64) || amount > step.get(0)) {
            reason = Reason.FEE_TOO_HIGH;
        } else if (block.timestamp > uint64(terms)) {
            reason = Reason.FEE_EXPIRED;
        } else {
            bytes32 digest = draft.feeOf(place.get(0), terms);
            if (Signatures.by(draft.payee(), digest, fee.r, fee.vs)) {
                place.set(1, amount << FEE | draft.total());
                return amount;
            }
        }
        amount = step.get(0);
        _takeBack(place, step, reason);
    }

    /// @dev Pay the rows from `first` to before `end`, all of one payee. If the token refuses, take them back.
    function _payRun(address token, address payee, uint256 sum, Words totals, Words steps, uint256 first, uint256 end)
        private
        returns (uint256 paid)
    {
        if (sum == 0 || Tokens.trySend(token, payee, sum)) return sum;
        for (uint256 i = first; i < end; ++i) {
            if (steps.get(i) != 0) {
                _takeBack(totals.from(TOTALS_HEAD + 2 * i), steps.from(i), Reason.TRANSFER_FAILED);
            }
        }
    }

    /// @dev Undo what was booked for a row.
    function _takeBack(Words place, Words step, Reason reason) private {
        bytes32 id = bytes32(place.get(0));
        Entry storage entry = _entries[id];
        entry.slot = entry.slot.takeBack(step.get(0));
        step.set(0, 0);
        _skip(place, id, reason);
    }

    function _skip(Words place, bytes32 id, Reason reason) private {
        emit Skipped(id, reason);
        place.set(0, 0);
        place.set(1, 0);
    }

    function _refuse(bytes32 id, Words draft) private view {
        revert Refused(id, _refusal(_entries[id].slot, draft.payee(), draft.total()));
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
