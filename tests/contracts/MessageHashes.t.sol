// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {MessageHashesHarness} from "./support/MessageHashesHarness.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {Messages} from "./support/Messages.sol";

/// @dev The types as EIP-712 writes them, a second time. tests/contracts/test_digests.py compares with Python's.
contract MessageHashesTest is ChannelsTest {
    MessageHashesHarness private immutable hashes = new MessageHashesHarness();

    function test_HashesAChallengeOfOneItem() external view {
        bytes32 itemType = keccak256("Item(bytes32 agreement,bytes32 dataRoot,uint64 leafCount,uint64[] indices)");
        bytes32 type_ = keccak256(
            "Challenge(bytes32 auditId,Item[] items)Item(bytes32 agreement,bytes32 dataRoot,uint64 leafCount,uint64[] indices)"
        );
        IPaymentChannels.Challenge memory it = IPaymentChannels.Challenge("audit", new IPaymentChannels.Item[](1));
        it.items[0] = IPaymentChannels.Item("agreement", "root", 9, new uint64[](2));
        (it.items[0].indices[0], it.items[0].indices[1]) = (3, 8);
        bytes32 item = keccak256(
            abi.encode(
                itemType, bytes32("agreement"), bytes32("root"), 9, keccak256(abi.encode(uint256(3), uint256(8)))
            )
        );
        assertDigest(hashes.challenge(it), keccak256(abi.encode(type_, bytes32("audit"), keccak256(abi.encode(item)))));
    }

    function test_HashesAnAgreement() external view {
        bytes32 type_ = keccak256(
            "Agreement(bytes32 renter,bytes32 farmer,uint64 shardLength,uint64 leafCount,bytes32 dataRoot,uint96 step,uint32 auditInterval,uint32 responseDeadline,uint32 grace,uint96 downloadPrice,uint64 start,uint64 end)"
        );
        IPaymentChannels.Agreement memory it =
            IPaymentChannels.Agreement("renter", "farmer", 1, 2, "root", 3, 4, 5, 6, 7, 8, 9);
        assertDigest(hashes.agreement(it), keccak256(abi.encode(type_, it)));
    }

    function test_HashesANodeKey() external view {
        bytes32 type_ = keccak256("NodeKey(bytes32 node)");
        assertDigest(hashes.nodeKey("node"), keccak256(abi.encode(type_, bytes32("node"))));
    }

    function assertDigest(bytes32 digest, bytes32 structHash) private view {
        vm.assertEq(digest, Messages.typed(Messages.domain(block.chainid, address(hashes)), structHash));
    }
}
