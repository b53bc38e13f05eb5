// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MessageHashes} from "../../../contracts/src/MessageHashes.sol";
import {Messages} from "./Messages.sol";
import {Trees} from "./Trees.sol";

/// @dev One shard and the leaves of it that are asked for.
struct Sample {
    bytes32 agreement;
    Trees.Shard shard;
    uint64[] indices;
}

/// @dev A challenge with all that a farmer needs to answer it.
struct Audit {
    bytes32 auditId;
    Sample[] samples;
}

/// @title Small audits, drawn by chance: their conditions as a signer computes them, their proofs as a farmer packs them
library Audits {
    using Trees for Trees.Shard;

    uint256 private constant MOST_LEAVES = 6;

    /// @dev An audit of one shard or two of up to six leaves, of which up to four are asked for.
    function draw(uint256 seed) internal pure returns (Audit memory audit) {
        audit.auditId = keccak256(abi.encode("audit", seed));
        audit.samples = new Sample[](1 + pick(seed, 0, 2));
        for (uint256 i; i < audit.samples.length; ++i) {
            Sample memory one = audit.samples[i];
            one.agreement = keccak256(abi.encode("agreement", seed, i));
            one.shard.seed = keccak256(abi.encode("shard", seed, i));
            one.shard.leafCount = uint64(1 + pick(seed, 10 * i + 1, MOST_LEAVES));
            one.shard.lastSize = uint16(1 + pick(seed, 10 * i + 2, 1024));
            one.indices = draw(pick(seed, 10 * i + 3, type(uint256).max), one.shard.leafCount);
        }
    }

    function condition(Audit memory audit, bytes32 domain) internal pure returns (bytes32) {
        bytes32[] memory items = new bytes32[](audit.samples.length);
        for (uint256 i; i < items.length; ++i) {
            Sample memory one = audit.samples[i];
            bytes32 indices = keccak256(abi.encodePacked(one.indices));
            items[i] = MessageHashes.item(one.agreement, one.shard.root(), one.shard.leafCount, indices);
        }
        return Messages.typed(domain, MessageHashes.challenge(audit.auditId, keccak256(abi.encodePacked(items))));
    }

    function prove(Audit memory audit) internal pure returns (bytes memory proof) {
        proof = abi.encodePacked(audit.auditId);
        for (uint256 i; i < audit.samples.length; ++i) {
            Sample memory one = audit.samples[i];
            proof = bytes.concat(proof, one.shard.item(one.agreement, one.indices));
        }
    }

    /// @dev Some of `count` leaves, strictly increasing: the first or the last for sure, others by chance.
    function draw(uint256 seed, uint64 count) private pure returns (uint64[] memory indices) {
        indices = new uint64[](4);
        uint64 sure = pick(seed, 0, 2) == 0 ? 0 : count - 1;
        uint256 chosen;
        for (uint64 i; i < count; ++i) {
            uint256 room = 4 - chosen - (i < sure ? 1 : 0);
            if (i == sure || (room != 0 && pick(seed, 1 + i, 4) == 0)) indices[chosen++] = i;
        }
        assembly ("memory-safe") {
            mstore(indices, chosen)
        }
    }

    function pick(uint256 seed, uint256 place, uint256 count) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, place))) % count;
    }
}
