// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MessageHashes} from "../../../contracts/src/MessageHashes.sol";
import {Messages} from "./Messages.sol";
import {Trees} from "./Trees.sol";

/// @dev One shard and the leaves of it that are asked for.
struct Sample {
    bytes32 agreement;
    bytes[] leaves;
    uint64[] indices;
}

/// @dev A challenge with all that a farmer needs to answer it.
struct Audit {
    bytes32 auditId;
    Sample[] samples;
}

/// @title Audits of small shards: their conditions as a signer computes them, their proofs as a farmer packs them
library Audits {
    uint256 internal constant LEAF_SIZE = 1024;

    /// @dev An audit of up to two shards of up to nine leaves, of which up to four are asked for.
    function draw(uint256 seed) internal pure returns (Audit memory audit) {
        audit.auditId = keccak256(abi.encode("audit", seed));
        audit.samples = new Sample[](1 + pick(seed, 0, 2));
        for (uint256 i; i < audit.samples.length; ++i) {
            audit.samples[i] = sample(pick(seed, 3 * i + 1, type(uint64).max));
        }
    }

    function condition(Audit memory audit, bytes32 domain) internal pure returns (bytes32) {
        bytes32[] memory items = new bytes32[](audit.samples.length);
        for (uint256 i; i < items.length; ++i) {
            Sample memory one = audit.samples[i];
            bytes32 indices = keccak256(abi.encodePacked(one.indices));
            items[i] = keccak256(
                abi.encode(MessageHashes.ITEM_TYPE, one.agreement, Trees.root(one.leaves), one.leaves.length, indices)
            );
        }
        bytes32 hash = keccak256(abi.encodePacked(items));
        return Messages.typed(domain, keccak256(abi.encode(MessageHashes.CHALLENGE_TYPE, audit.auditId, hash)));
    }

    function prove(Audit memory audit) internal pure returns (bytes memory proof) {
        proof = abi.encodePacked(audit.auditId);
        for (uint256 i; i < audit.samples.length; ++i) {
            proof = bytes.concat(proof, prove(audit.samples[i]));
        }
    }

    function prove(Sample memory it) private pure returns (bytes memory proof) {
        proof = abi.encodePacked(it.agreement, uint64(it.leaves.length), uint8(it.indices.length));
        for (uint256 i; i < it.indices.length; ++i) {
            proof = abi.encodePacked(proof, it.indices[i]);
        }
        for (uint256 i; i < it.indices.length; ++i) {
            bytes memory leaf = it.leaves[it.indices[i]];
            if (it.indices[i] + 1 == it.leaves.length) proof = abi.encodePacked(proof, uint16(leaf.length));
            proof = abi.encodePacked(proof, leaf, Trees.path(it.leaves, it.indices[i]));
        }
    }

    function sample(uint256 seed) private pure returns (Sample memory it) {
        it.agreement = keccak256(abi.encode("agreement", seed));
        it.leaves = new bytes[](1 + pick(seed, 0, 9));
        for (uint256 i; i < it.leaves.length; ++i) {
            bool last = i + 1 == it.leaves.length;
            it.leaves[i] = leafOf(pick(seed, 10 + i, type(uint64).max), last ? 1 + pick(seed, 1, LEAF_SIZE) : LEAF_SIZE);
        }
        it.indices = draw(seed, it.leaves.length);
    }

    /// @dev Some leaves of `count`, strictly increasing: always the first or the last one, others by chance.
    function draw(uint256 seed, uint256 count) private pure returns (uint64[] memory indices) {
        indices = new uint64[](4);
        uint256 chosen;
        for (uint64 i; i < count && chosen < 4; ++i) {
            bool edge = pick(seed, 2, 2) == 0 ? i == 0 : i + 1 == count;
            if (edge || pick(seed, 20 + i, 4) == 0) indices[chosen++] = i;
        }
        if (chosen == 0) revert("no leaf was asked for");
        assembly ("memory-safe") {
            mstore(indices, chosen)
        }
    }

    function leafOf(uint256 seed, uint256 size) private pure returns (bytes memory leaf) {
        leaf = new bytes(size);
        leaf[0] = bytes1(uint8(seed));
        leaf[size - 1] = bytes1(uint8(seed >> 8));
    }

    function pick(uint256 seed, uint256 place, uint256 count) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, place))) % count;
    }
}
