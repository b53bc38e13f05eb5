// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {MessageHashes} from "../../../contracts/src/MessageHashes.sol";

/// @dev Shows the digests that the contract computes within or that only nodes need, in a domain of its own address.
contract MessageHashesHarness is EIP712 {
    constructor() EIP712("Tithebarn", "1") {}

    function channel(IPaymentChannels.Terms calldata it) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.channel(it));
    }

    function voucher(IPaymentChannels.Voucher calldata it) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.voucher(it));
    }

    function challenge(IPaymentChannels.Challenge calldata it) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.challenge(it));
    }

    function agreement(IPaymentChannels.Agreement calldata it) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.agreement(it));
    }

    function funding(IPaymentChannels.Funding calldata it) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.funding(it));
    }

    function relayFee(IPaymentChannels.RelayFee calldata it) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.relayFee(it));
    }

    function nodeKey(bytes32 node) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.nodeKey(node));
    }
}
