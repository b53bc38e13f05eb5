// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "./IPaymentChannels.sol";

/// @title EIP-712 struct hashes of everything Tithebarn signs
/// @notice The one place with the type strings. Python holds the same ones and tests keep the two equal.
library MessageHashes {
    bytes32 internal constant CHANNEL_TYPE = keccak256(
        "Channel(address payer,address signer,address payee,address token,uint32 challengePeriod,bytes32 salt)"
    );
    bytes32 internal constant VOUCHER_TYPE =
        keccak256("Voucher(bytes32 channelId,uint96 cumulativeAmount,bytes32 condition)");
    bytes32 internal constant ITEM_TYPE =
        keccak256("Item(bytes32 agreement,bytes32 dataRoot,uint64 leafCount,uint64[] indices)");
    bytes32 internal constant CHALLENGE_TYPE = keccak256(
        "Challenge(bytes32 auditId,Item[] items)Item(bytes32 agreement,bytes32 dataRoot,uint64 leafCount,uint64[] indices)"
    );
    bytes32 internal constant AGREEMENT_TYPE = keccak256(
        "Agreement(bytes32 renter,bytes32 farmer,uint64 shardLength,uint64 leafCount,bytes32 dataRoot,uint96 step,uint32 auditInterval,uint32 responseDeadline,uint32 grace,uint96 downloadPrice,uint64 start,uint64 end)"
    );
    bytes32 internal constant NODE_KEY_TYPE = keccak256("NodeKey(bytes32 node)");

    function channel(
        address payer,
        address signer,
        address payee,
        address token,
        uint32 challengePeriod,
        bytes32 salt
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(CHANNEL_TYPE, payer, signer, payee, token, challengePeriod, salt));
    }

    function voucher(bytes32 channelId, uint96 cumulativeAmount, bytes32 condition) internal pure returns (bytes32) {
        return keccak256(abi.encode(VOUCHER_TYPE, channelId, cumulativeAmount, condition));
    }

    function item(IPaymentChannels.Item calldata it) internal pure returns (bytes32) {
        // An array of atomic values is hashed as its words without the length, which is how encodePacked pads them.
        bytes32 indices = keccak256(abi.encodePacked(it.indices));
        return keccak256(abi.encode(ITEM_TYPE, it.agreement, it.dataRoot, it.leafCount, indices));
    }

    function challenge(IPaymentChannels.Challenge calldata it) internal pure returns (bytes32) {
        bytes32[] memory items = new bytes32[](it.items.length);
        for (uint256 i; i < items.length; ++i) {
            items[i] = item(it.items[i]);
        }
        return keccak256(abi.encode(CHALLENGE_TYPE, it.auditId, keccak256(abi.encodePacked(items))));
    }

    function agreement(IPaymentChannels.Agreement calldata it) internal pure returns (bytes32) {
        return keccak256(abi.encode(AGREEMENT_TYPE, it));
    }

    function nodeKey(bytes32 node) internal pure returns (bytes32) {
        return keccak256(abi.encode(NODE_KEY_TYPE, node));
    }
}
