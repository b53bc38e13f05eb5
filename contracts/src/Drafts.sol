// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "./IPaymentChannels.sol";
import {MessageHashes} from "./MessageHashes.sol";
import {Words, allocate} from "./Words.sol";

/// @title The messages that a call hashes, drafted once and changed from row to row
/// @dev The words of a draft are those that EIP-712 hashes: 0x1901, domain separator and struct hash; the Channel; the
/// Voucher; the RelayFee. Bits that no address and no period has lead to the id of a channel that nobody could fund: such
/// rows harm nobody.
library Drafts {
    uint256 private constant STRUCT_HASH = 2;
    uint256 private constant CHANNEL = 3; // type, payer, signer, payee, token, challengePeriod, salt
    uint256 private constant PAYER = 4;
    uint256 private constant SIGNER = 5;
    uint256 private constant PAYEE = 6;
    uint256 private constant TOKEN = 7;
    uint256 private constant CHALLENGE_PERIOD = 8;
    uint256 private constant SALT = 9;
    uint256 private constant VOUCHER = 10; // type, channelId, cumulativeAmount, condition
    uint256 private constant CHANNEL_ID = 11;
    uint256 private constant CUMULATIVE_AMOUNT = 12;
    uint256 private constant CONDITION = 13;
    uint256 private constant RELAY_FEE = 14; // type, relayer, channelId, cumulativeAmount, maximum, deadline
    uint256 private constant RELAYER = 15;
    uint256 private constant FEE_CHANNEL_ID = 16;
    uint256 private constant FEE_CUMULATIVE_AMOUNT = 17;
    uint256 private constant MAXIMUM = 18;
    uint256 private constant DEADLINE = 19;
    uint256 private constant END = 20;

    // Words of a Claim row.
    uint256 private constant ROW_PAYER = 0;
    uint256 private constant ROW_KEY = 1;
    uint256 private constant ROW_PAYEE_AND_TOTAL = 2;
    uint256 private constant ROW_SALT = 3;

    /// @dev A draft for many channels of one payer.
    function forPayer(
        bytes32 domain,
        address payer,
        address signer_,
        address token,
        uint32 challengePeriod,
        bytes32 salt
    ) internal pure returns (Words draft) {
        draft = _open(VOUCHER, domain, token);
        draft.set(PAYER, uint160(payer));
        draft.set(SIGNER, uint160(signer_));
        draft.set(CHALLENGE_PERIOD, challengePeriod);
        draft.set(SALT, uint256(salt));
    }

    /// @dev The id of one channel of the caller.
    function forOne(bytes32 domain, address token, bytes32 key, bytes32 salt, bytes32 row)
        internal
        view
        returns (bytes32 id)
    {
        Words draft = _open(VOUCHER, domain, token);
        draft.set(PAYER, uint160(msg.sender));
        draft.set(SIGNER, uint256(key) >> 96);
        draft.set(PAYEE, uint256(row) >> 96);
        draft.set(CHALLENGE_PERIOD, uint32(uint256(key)));
        draft.set(SALT, uint256(salt));
        draft.set(STRUCT_HASH, draft.hash(CHANNEL, VOUCHER - CHANNEL));
        return draft.typedHash();
    }

    /// @dev A draft for one voucher without condition, turned to its terms; payee zero is the caller.
    function forClaim(bytes32 domain, address token, IPaymentChannels.Claim calldata row)
        internal
        view
        returns (Words draft)
    {
        draft = _forVouchers(domain, token);
        address named = payeeOf(row);
        draft.set(PAYEE, uint160(named == address(0) ? msg.sender : named));
        turnToTermsOf(draft, row);
    }

    /// @dev A draft for many vouchers in one token, until told otherwise from nobody to the caller, without condition.
    function forClaims(bytes32 domain, address token) internal view returns (Words draft) {
        draft = _forVouchers(domain, token);
        draft.set(PAYER, 0);
        draft.set(SIGNER, 0);
        draft.set(PAYEE, uint160(msg.sender));
        draft.set(CHALLENGE_PERIOD, 0);
        draft.set(SALT, 0);
    }

    /// @dev The id of the payer's channel to `payee_`.
    function channelTo(Words draft, address payee_) internal pure returns (bytes32 id) {
        draft.set(PAYEE, uint160(payee_));
        draft.set(STRUCT_HASH, draft.hash(CHANNEL, VOUCHER - CHANNEL));
        return draft.typedHash();
    }

    /// @dev Turn to the payer, signer, challenge period and salt of a row.
    function turnToTermsOf(Words draft, IPaymentChannels.Claim calldata row) internal pure {
        uint256 key = wordOf(row, ROW_KEY);
        draft.set(PAYER, wordOf(row, ROW_PAYER));
        draft.set(SIGNER, key >> 96);
        draft.set(CHALLENGE_PERIOD, uint32(key));
        draft.set(SALT, wordOf(row, ROW_SALT));
    }

    /// @dev The id of the channel with the terms and to the payee turned to. The row's total is noted as well.
    function channelOf(Words draft, IPaymentChannels.Claim calldata row) internal pure returns (bytes32 id) {
        draft.set(STRUCT_HASH, draft.hash(CHANNEL, VOUCHER - CHANNEL));
        draft.set(CUMULATIVE_AMOUNT, uint96(wordOf(row, ROW_PAYEE_AND_TOTAL)));
        return draft.typedHash();
    }

    /// @dev The digest of the voucher of the row before whose id was asked for.
    function voucherOf(Words draft, bytes32 id) internal pure returns (bytes32 digest) {
        draft.set(CHANNEL_ID, uint256(id));
        draft.set(STRUCT_HASH, draft.hash(VOUCHER, RELAY_FEE - VOUCHER));
        return draft.typedHash();
    }

    /// @dev Let the draft know that the caller is a relayer.
    function forRelayer(Words draft) internal view {
        draft.set(RELAY_FEE, uint256(MessageHashes.RELAY_FEE_TYPE));
        draft.set(RELAYER, uint160(msg.sender));
    }

    /// @dev The digest of the fee that the caller may keep of that voucher; `terms` are those of a Fee.
    function feeOf(Words draft, uint256 id, uint256 terms) internal pure returns (bytes32 digest) {
        draft.set(FEE_CHANNEL_ID, id);
        draft.set(FEE_CUMULATIVE_AMOUNT, draft.get(CUMULATIVE_AMOUNT));
        draft.set(MAXIMUM, uint96(terms >> 64));
        draft.set(DEADLINE, uint64(terms));
        draft.set(STRUCT_HASH, draft.hash(RELAY_FEE, END - RELAY_FEE));
        return draft.typedHash();
    }

    /// @dev Whether a row names its payer; otherwise payer, key and salt are those of the row before.
    function namesPayer(IPaymentChannels.Claim calldata row) internal pure returns (bool) {
        return wordOf(row, ROW_PAYER) != 0;
    }

    /// @dev A row's payee, zero for the one before.
    function payeeOf(IPaymentChannels.Claim calldata row) internal pure returns (address) {
        return address(uint160(wordOf(row, ROW_PAYEE_AND_TOTAL) >> 96));
    }

    /// @dev Let the vouchers of the rows to come have this condition.
    function require_(Words draft, bytes32 condition) internal pure {
        draft.set(CONDITION, uint256(condition));
    }

    function turnTo(Words draft, address payee_) internal pure {
        draft.set(PAYEE, uint160(payee_));
    }

    function payee(Words draft) internal pure returns (address) {
        return address(uint160(draft.get(PAYEE)));
    }

    function signer(Words draft) internal pure returns (address) {
        return address(uint160(draft.get(SIGNER)));
    }

    function total(Words draft) internal pure returns (uint256) {
        return draft.get(CUMULATIVE_AMOUNT);
    }

    /// @dev A word of a row as it stands, unchecked: what is no address must not revert the other rows.
    function wordOf(IPaymentChannels.Claim calldata row, uint256 index) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(row, shl(5, index)))
        }
    }

    function _forVouchers(bytes32 domain, address token) private pure returns (Words draft) {
        draft = _open(END, domain, token);
        draft.set(VOUCHER, uint256(MessageHashes.VOUCHER_TYPE));
        draft.set(CONDITION, 0);
    }

    function _open(uint256 count, bytes32 domain, address token) private pure returns (Words draft) {
        draft = allocate(count);
        draft.set(0, 0x1901);
        draft.set(1, uint256(domain));
        draft.set(CHANNEL, uint256(MessageHashes.CHANNEL_TYPE));
        draft.set(TOKEN, uint160(token));
    }
}
