// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "./IPaymentChannels.sol";
import {MessageHashes} from "./MessageHashes.sol";
import {Words, allocate} from "./Words.sol";

/// @title The messages that a call hashes, drafted once and changed from row to row
/// @dev The words of a draft are those that EIP-712 hashes: 0x1901, domain separator and struct hash; the Channel; the
/// Voucher. What comes from a Claim row is copied as it stands. Bits that no address and no period has lead to the id of
/// a channel that nobody could fund, and a total above uint96 is above every deposit: such rows harm nobody.
library Drafts {
    uint256 private constant STRUCT_HASH = 2;
    uint256 private constant CHANNEL = 3; // type, payer, signer, payee, token, challengePeriod, salt
    uint256 private constant PAYER = 4;
    uint256 private constant SIGNER = 5;
    uint256 private constant PAYEE = 6;
    uint256 private constant TOKEN = 7;
    uint256 private constant CHALLENGE_PERIOD = 8;
    uint256 private constant SALT = 9;
    uint256 private constant TOTAL = 10; // follows the salt in a row
    uint256 private constant VOUCHER = 11; // type, channelId, cumulativeAmount, condition
    uint256 private constant CHANNEL_ID = 12;
    uint256 private constant CUMULATIVE_AMOUNT = 13;
    uint256 private constant CONDITION = 14;
    uint256 private constant END = 15;

    // Words of a Claim row.
    uint256 private constant ROW_PAYER = 0;
    uint256 private constant ROW_PAYEE = 2;
    uint256 private constant ROW_CHALLENGE_PERIOD = 3;

    /// @dev A draft for many channels of one payer.
    function forPayer(
        bytes32 domain,
        address payer,
        address signer_,
        address token,
        uint32 challengePeriod,
        bytes32 salt
    ) internal pure returns (Words draft) {
        draft = _open(TOTAL, domain, token);
        draft.set(PAYER, uint160(payer));
        draft.set(SIGNER, uint160(signer_));
        draft.set(CHALLENGE_PERIOD, challengePeriod);
        draft.set(SALT, uint256(salt));
    }

    /// @dev A draft for many vouchers without condition in one token.
    function forClaims(bytes32 domain, address token) internal pure returns (Words draft) {
        draft = _open(END, domain, token);
        draft.set(PAYEE, 0);
        draft.set(VOUCHER, uint256(MessageHashes.VOUCHER_TYPE));
        draft.set(CONDITION, 0);
    }

    /// @dev The id of the payer's channel to `payee_`.
    function channelTo(Words draft, address payee_) internal pure returns (bytes32 id) {
        draft.set(PAYEE, uint160(payee_));
        draft.set(STRUCT_HASH, draft.hash(CHANNEL, TOTAL - CHANNEL));
        return draft.typedHash();
    }

    /// @dev The id of a row's channel, to the payee in the draft. The row's total is copied as well.
    function channelOf(Words draft, IPaymentChannels.Claim calldata row) internal pure returns (bytes32 id) {
        _copy(draft, PAYER, row, ROW_PAYER, 2); // payer, signer
        _copy(draft, CHALLENGE_PERIOD, row, ROW_CHALLENGE_PERIOD, 3); // challengePeriod, salt, cumulativeAmount
        draft.set(STRUCT_HASH, draft.hash(CHANNEL, TOTAL - CHANNEL));
        return draft.typedHash();
    }

    /// @dev The digest of the row's voucher.
    function voucherOf(Words draft, bytes32 id) internal pure returns (bytes32 digest) {
        draft.set(CHANNEL_ID, uint256(id));
        draft.set(CUMULATIVE_AMOUNT, draft.get(TOTAL));
        draft.set(STRUCT_HASH, draft.hash(VOUCHER, END - VOUCHER));
        return draft.typedHash();
    }

    /// @dev The word with a row's payee, zero for the one before.
    function payeeOf(IPaymentChannels.Claim calldata row) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(row, shl(5, ROW_PAYEE)))
        }
    }

    function turnTo(Words draft, uint256 payeeWord) internal pure {
        draft.set(PAYEE, payeeWord);
    }

    function payee(Words draft) internal pure returns (address) {
        return address(uint160(draft.get(PAYEE)));
    }

    function signer(Words draft) internal pure returns (address) {
        return address(uint160(draft.get(SIGNER)));
    }

    function total(Words draft) internal pure returns (uint256) {
        return draft.get(TOTAL);
    }

    function _open(uint256 count, bytes32 domain, address token) private pure returns (Words draft) {
        draft = allocate(count);
        draft.set(0, 0x1901);
        draft.set(1, uint256(domain));
        draft.set(CHANNEL, uint256(MessageHashes.CHANNEL_TYPE));
        draft.set(TOKEN, uint160(token));
    }

    function _copy(Words draft, uint256 index, IPaymentChannels.Claim calldata row, uint256 from, uint256 count)
        private
        pure
    {
        uint256 source;
        assembly ("memory-safe") {
            source := add(row, shl(5, from))
        }
        draft.copy(index, source, count);
    }
}
