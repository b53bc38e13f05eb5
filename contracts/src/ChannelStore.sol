// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {ChannelSlot} from "./ChannelSlot.sol";
import {IPaymentChannels} from "./IPaymentChannels.sol";
import {Words, allocate} from "./Words.sol";

/// @title What all parts of the contract share: the channels, the EIP-712 domain, and packed words
abstract contract ChannelStore is IPaymentChannels, EIP712 {
    /// @dev A struct around the word, so that its place in storage is computed once for reading and writing.
    struct Entry {
        ChannelSlot slot;
    }

    /// @dev Words before the rows in the data of Funded and Pushed: signer, challengePeriod, salt, offset, length.
    uint256 internal constant LIST_HEAD = 5;

    mapping(bytes32 channelId => Entry) internal _entries;

    /// @dev OpenZeppelin's own cache compares the address as well, which only a proxy would need: 50 gas a call.
    uint256 private immutable _CHAIN = block.chainid;
    bytes32 private immutable _DOMAIN;

    constructor() EIP712("Tithebarn", "1") {
        _DOMAIN = _domainSeparatorV4();
    }

    function _domain() internal view returns (bytes32) {
        return block.chainid == _CHAIN ? _DOMAIN : _domainSeparatorV4();
    }

    /// @dev The data of Funded and Pushed, with the rows of the call.
    function _list(address signer, uint32 challengePeriod, bytes32 salt, bytes32[] calldata rows)
        internal
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
    function _refusal(ChannelSlot slot, address payee, uint256 total) internal pure returns (Reason) {
        if (payee == address(0)) return Reason.ZERO_PAYEE;
        if (total <= slot.claimed()) return Reason.STALE;
        return slot.rest() == 0 ? Reason.EMPTY : Reason.BAD_SIGNATURE;
    }

    function _within(uint256 total, uint256 limit) internal pure returns (uint256) {
        return total < limit ? total : limit;
    }

    function _unpack(bytes32 word) internal pure returns (address who, uint256 number) {
        return (address(bytes20(word)), uint96(uint256(word)));
    }

    function _pack(address who, uint256 number) internal pure returns (uint256) {
        return uint256(uint160(who)) << 96 | number;
    }
}
