// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Merkle trees as RFC 9162 2.1 defines them: SHA-256, split at the largest power of two, nothing padded
/// @notice Written from the recursive definition, where the contract climbs by the bits of index and size.
library Trees {
    function root(bytes[] memory leaves) internal pure returns (bytes32) {
        return root(leaves, 0, leaves.length);
    }

    /// @return hashes The path of a leaf (2.1.3), from the bottom up.
    function path(bytes[] memory leaves, uint256 index) internal pure returns (bytes32[] memory hashes) {
        return path(leaves, index, 0, leaves.length, 0);
    }

    function root(bytes[] memory leaves, uint256 start, uint256 count) private pure returns (bytes32) {
        if (count == 1) return sha256(abi.encodePacked(bytes1(0x00), leaves[start]));
        uint256 left = split(count);
        return
            sha256(abi.encodePacked(bytes1(0x01), root(leaves, start, left), root(leaves, start + left, count - left)));
    }

    /// @dev The path within `count` leaves from `start`, with `above` empty places behind it.
    function path(bytes[] memory leaves, uint256 index, uint256 start, uint256 count, uint256 above)
        private
        pure
        returns (bytes32[] memory hashes)
    {
        if (count == 1) return new bytes32[](above);
        uint256 left = split(count);
        bool within = index < left;
        hashes = within
            ? path(leaves, index, start, left, above + 1)
            : path(leaves, index - left, start + left, count - left, above + 1);
        hashes[hashes.length - above - 1] =
            within ? root(leaves, start + left, count - left) : root(leaves, start, left);
    }

    /// @dev The largest power of two below `count`.
    function split(uint256 count) private pure returns (uint256 left) {
        left = 1;
        while (left * 2 < count) left *= 2;
    }
}
