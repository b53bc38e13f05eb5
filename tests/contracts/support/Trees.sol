// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @dev RFC 9162 trees over made-up shards, by recursion as the RFC defines them, and the proofs that farmers pack.
/// Leaf `i` of `count` has 1,024 bytes that follow from seed and index; the last one has `lastSize`.
library Trees {
    struct Shard {
        bytes32 seed;
        uint64 leafCount;
        uint16 lastSize;
    }

    function leaf(Shard memory shard, uint256 index) internal pure returns (bytes memory bytes_) {
        bytes_ = new bytes(1024);
        for (uint256 i; i < 32; ++i) {
            bytes32 word = keccak256(abi.encode(shard.seed, index, i));
            assembly {
                mstore(add(add(bytes_, 32), mul(32, i)), word)
            }
        }
        if (index == shard.leafCount - 1) {
            uint256 size = shard.lastSize;
            assembly {
                mstore(bytes_, size)
            }
        }
    }

    /// @dev Root of the leaves from `from` to before `to`.
    function root(Shard memory shard, uint256 from, uint256 to) internal pure returns (bytes32) {
        if (to - from == 1) return sha256(abi.encodePacked(hex"00", leaf(shard, from)));
        uint256 middle = split(from, to);
        return sha256(abi.encodePacked(hex"01", root(shard, from, middle), root(shard, middle, to)));
    }

    function root(Shard memory shard) internal pure returns (bytes32) {
        return root(shard, 0, shard.leafCount);
    }

    /// @dev The path of leaf `index` from the bottom up, within the leaves from `from` to before `to`.
    function path(Shard memory shard, uint256 index, uint256 from, uint256 to)
        internal
        pure
        returns (bytes memory hashes)
    {
        if (to - from == 1) return "";
        uint256 middle = split(from, to);
        return index < middle
            ? abi.encodePacked(path(shard, index, from, middle), root(shard, middle, to))
            : abi.encodePacked(path(shard, index, middle, to), root(shard, from, middle));
    }

    /// @dev What stands in a proof for one index.
    function branch(Shard memory shard, uint256 index) internal pure returns (bytes memory) {
        bytes memory prefix = index == shard.leafCount - 1 ? abi.encodePacked(shard.lastSize) : bytes("");
        return abi.encodePacked(prefix, leaf(shard, index), path(shard, index, 0, shard.leafCount));
    }

    /// @dev What stands in a proof for one item.
    function item(Shard memory shard, bytes32 agreement, uint64[] memory indices)
        internal
        pure
        returns (bytes memory packed)
    {
        packed = abi.encodePacked(agreement, shard.leafCount, uint8(indices.length));
        for (uint256 i; i < indices.length; ++i) {
            packed = abi.encodePacked(packed, indices[i]);
        }
        for (uint256 i; i < indices.length; ++i) {
            packed = abi.encodePacked(packed, branch(shard, indices[i]));
        }
    }

    /// @dev The largest power of two below the number of leaves goes to the left.
    function split(uint256 from, uint256 to) private pure returns (uint256) {
        uint256 left = 1;
        while (left * 2 < to - from) left *= 2;
        return from + left;
    }
}
