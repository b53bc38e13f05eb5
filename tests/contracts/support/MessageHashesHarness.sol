// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {MessageHashes} from "../../../contracts/src/MessageHashes.sol";

/// @dev Shows the digests that the contract computes within or that only nodes need, in a domain of its own address.
contract MessageHashesHarness is EIP712 {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

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

    /// @dev In the domain of another contract that tells it (ERC-5267).
    function challengeIn(IERC5267 where, IPaymentChannels.Challenge calldata it) external view returns (bytes32) {
        return typedHash(where, MessageHashes.challenge(it));
    }

    function fundingIn(IERC5267 where, IPaymentChannels.Funding calldata it) external view returns (bytes32) {
        return typedHash(where, MessageHashes.funding(it));
    }

    function relayFeeIn(IERC5267 where, IPaymentChannels.RelayFee calldata it) external view returns (bytes32) {
        return typedHash(where, MessageHashes.relayFee(it));
    }

    function funding(IPaymentChannels.Funding calldata it) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.funding(it));
    }

    function relayFee(IPaymentChannels.RelayFee calldata it) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.relayFee(it));
    }

    function agreement(IPaymentChannels.Agreement calldata it) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.agreement(it));
    }

    function nodeKey(bytes32 node) external view returns (bytes32) {
        return _hashTypedDataV4(MessageHashes.nodeKey(node));
    }

    function typedHash(IERC5267 where, bytes32 structHash) private view returns (bytes32) {
        (, string memory name, string memory version, uint256 chainId, address contract_,,) = where.eip712Domain();
        bytes32 domain =
            keccak256(abi.encode(DOMAIN_TYPE, keccak256(bytes(name)), keccak256(bytes(version)), chainId, contract_));
        return MessageHashUtils.toTypedDataHash(domain, structHash);
    }
}
