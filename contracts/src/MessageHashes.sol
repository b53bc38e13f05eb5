// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "./IPaymentChannels.sol";

/// @title EIP-712 types and struct hashes of what Tithebarn signs
/// @notice The one place on chain with the type strings. Python holds the same ones; tests keep the two equal.
library MessageHashes {
    bytes32 internal constant CHANNEL_TYPE = keccak256(
        "Channel(address payer,address signer,address payee,address token,uint32 challengePeriod,bytes32 salt)"
    );
    bytes32 internal constant VOUCHER_TYPE =
        keccak256("Voucher(bytes32 channelId,uint96 cumulativeAmount,bytes32 condition)");
    bytes32 internal constant ITEM_TYPE =
        keccak256("Item(bytes32 agreement,bytes32 dataRoot,uint64 leafCount,uint64[] indices)");
    bytes32 internal constant CHALLENGE_TYPE = keccak256(
        "Challenge(bytes32 auditId,Item[] items)"
        "Item(bytes32 agreement,bytes32 dataRoot,uint64 leafCount,uint64[] indices)"
    );
    bytes32 internal constant FUNDING_TYPE = keccak256(
        "Funding(address payer,address signer,address token,uint32 challengePeriod,bytes32 salt,bytes32[] rows)"
    );
    bytes32 internal constant RELAY_FEE_TYPE =
        keccak256("RelayFee(address relayer,bytes32 channelId,uint96 cumulativeAmount,uint96 maximum,uint64 deadline)");
    bytes32 internal constant AGREEMENT_TYPE = keccak256(
        "Agreement(bytes32 renter,bytes32 farmer,uint64 shardLength,uint64 leafCount,bytes32 dataRoot,uint96 step,"
        "uint32 auditInterval,uint32 responseDeadline,uint32 grace,uint96 downloadPrice,uint64 start,uint64 end)"
    );
    bytes32 internal constant NODE_KEY_TYPE = keccak256("NodeKey(bytes32 node)");

    function channel(IPaymentChannels.Terms calldata terms) internal pure returns (bytes32) {
        return keccak256(abi.encode(CHANNEL_TYPE, terms));
    }

    function voucher(IPaymentChannels.Voucher calldata it) internal pure returns (bytes32) {
        return keccak256(abi.encode(VOUCHER_TYPE, it));
    }

    /// @param indices Hash of the indices, a word each.
    function item(bytes32 agreement_, bytes32 dataRoot, uint256 leafCount, bytes32 indices)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(ITEM_TYPE, agreement_, dataRoot, leafCount, indices));
    }

    /// @param items Hash of the items' struct hashes.
    function challenge(bytes32 auditId, bytes32 items) internal pure returns (bytes32) {
        return keccak256(abi.encode(CHALLENGE_TYPE, auditId, items));
    }

    function challenge(IPaymentChannels.Challenge calldata it) internal pure returns (bytes32) {
        bytes32[] memory items = new bytes32[](it.items.length);
        for (uint256 i; i < items.length; ++i) {
            IPaymentChannels.Item calldata one = it.items[i];
            // encodePacked pads the elements of an array to words and leaves out its length, as EIP-712 wants it.
            items[i] = item(one.agreement, one.dataRoot, one.leafCount, keccak256(abi.encodePacked(one.indices)));
        }
        return challenge(it.auditId, keccak256(abi.encodePacked(items)));
    }

    function funding(IPaymentChannels.Funding calldata it) internal pure returns (bytes32) {
        bytes32 rows = keccak256(abi.encodePacked(it.rows));
        return keccak256(abi.encode(FUNDING_TYPE, it.payer, it.signer, it.token, it.challengePeriod, it.salt, rows));
    }

    function relayFee(IPaymentChannels.RelayFee calldata it) internal pure returns (bytes32) {
        return keccak256(abi.encode(RELAY_FEE_TYPE, it));
    }

    function agreement(IPaymentChannels.Agreement calldata it) internal pure returns (bytes32) {
        return keccak256(abi.encode(AGREEMENT_TYPE, it));
    }

    function nodeKey(bytes32 node) internal pure returns (bytes32) {
        return keccak256(abi.encode(NODE_KEY_TYPE, node));
    }
}
