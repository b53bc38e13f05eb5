// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MessageHashes} from "./MessageHashes.sol";
import {Words, allocate} from "./Words.sol";

/// @title Proofs of audits: leaves and paths, from which the condition of a voucher is computed
/// @notice A proof does not name the data root: the root follows from leaf and path (RFC 9162, SHA-256, lone nodes rise),
/// the Challenge from the roots, the condition from the Challenge. Whoever proves something else arrives at a condition
/// that nobody has signed.
/// @dev The bytes are read once from left to right, and every hash and length in them is used: no two proofs have the
/// same meaning. `rest` is what is still to be read. A hash of zero says that the proof is malformed; nothing reverts.
library Proofs {
    uint256 private constant LEAF_SIZE = 1024;
    uint256 private constant MOST_INDICES = 4;

    uint256 private constant ITEM_HEAD = 32 + 8 + 1; // agreement, leafCount, count
    uint256 private constant INDEX = 8;
    uint256 private constant LEAF_LENGTH = 2;
    uint256 private constant SHORTEST_ITEM = ITEM_HEAD + INDEX + LEAF_LENGTH + 1;

    // First bytes of what is hashed, RFC 9162 2.1.1.
    uint256 private constant OF_LEAF = 0x00;
    uint256 private constant OF_NODE = 0x01;

    /// @dev The digest of the Challenge that the proof answers, zero for none.
    function conditionOf(bytes calldata proof, bytes32 domain) internal view returns (bytes32 condition) {
        if (proof.length < 32) return 0;
        bytes calldata rest = proof[32:];
        Words scratch = allocate(1 + LEAF_SIZE / 32);
        Words items = allocate(rest.length / SHORTEST_ITEM + 1);
        uint256 count;
        do {
            bytes32 item;
            (item, rest) = _item(rest, scratch);
            if (item == 0) return 0;
            items.set(count, uint256(item));
            unchecked {
                ++count; // one for every SHORTEST_ITEM bytes
            }
        } while (rest.length != 0);
        bytes32 challenge = MessageHashes.challenge(bytes32(proof), bytes32(items.hash(0, count)));
        return keccak256(abi.encodePacked(hex"1901", domain, challenge));
    }

    /// @dev The struct hash of the item that stands at the beginning of `rest`.
    function _item(bytes calldata rest, Words scratch) private view returns (bytes32 hash, bytes calldata) {
        if (rest.length < ITEM_HEAD) return (0, rest);
        bytes32 agreement = bytes32(rest);
        uint256 leafCount = uint64(bytes8(rest[32:]));
        uint256 count = uint8(rest[40]);
        rest = rest[ITEM_HEAD:];
        if (count == 0 || count > MOST_INDICES || rest.length < INDEX * count) return (0, rest);
        (Words indices, bool rising) = _indices(rest, count, leafCount);
        if (!rising) return (0, rest);
        bytes32 root;
        (root, rest) = _commonRoot(rest[INDEX * count:], indices, count, leafCount, scratch);
        if (root == 0) return (0, rest);
        return (MessageHashes.item(agreement, root, leafCount, bytes32(indices.hash(0, count))), rest);
    }

    /// @dev The indices of an item, a word each, and whether they rise and lie in the tree.
    function _indices(bytes calldata packed, uint256 count, uint256 leafCount)
        private
        pure
        returns (Words indices, bool rising)
    {
        indices = allocate(MOST_INDICES);
        uint256 lowest;
        for (uint256 i; i < count; ++i) {
            uint256 index = uint64(bytes8(packed[INDEX * i:]));
            if (index < lowest || index >= leafCount) return (indices, false);
            indices.set(i, index);
            lowest = index + 1;
        }
        return (indices, true);
    }

    /// @dev The root above all leaves of an item, whose paths stand at the beginning of `rest`.
    function _commonRoot(bytes calldata rest, Words indices, uint256 count, uint256 leafCount, Words scratch)
        private
        view
        returns (bytes32 root, bytes calldata)
    {
        for (uint256 i; i < count; ++i) {
            bytes32 above;
            (above, rest) = _root(rest, indices.get(i), leafCount, scratch);
            if (i == 0) root = above;
            if (above == 0 || above != root) return (0, rest);
        }
        return (root, rest);
    }

    /// @dev The root above the leaf and path that stand at the beginning of `rest`; `index` is below `leafCount`.
    function _root(bytes calldata rest, uint256 index, uint256 leafCount, Words scratch)
        private
        view
        returns (bytes32 node, bytes calldata)
    {
        uint256 last = leafCount - 1;
        uint256 size = LEAF_SIZE;
        if (index == last) {
            if (rest.length < LEAF_LENGTH) return (0, rest);
            size = uint16(bytes2(rest));
            if (size == 0 || size > LEAF_SIZE) return (0, rest);
            rest = rest[LEAF_LENGTH:];
        }
        if (rest.length < size) return (0, rest);
        scratch.copyBytes(1, rest[:size]);
        node = _sha256(scratch, OF_LEAF, size);
        rest = rest[size:];
        for (; last != 0; (index, last) = (index >> 1, last >> 1)) {
            bool right = index & 1 == 1;
            if (!right && index == last) continue; // a lone node rises
            if (rest.length < 32) return (0, rest);
            scratch.set(right ? 2 : 1, uint256(node));
            scratch.set(right ? 1 : 2, uint256(bytes32(rest)));
            node = _sha256(scratch, OF_NODE, 64);
            rest = rest[32:];
        }
        return (node, rest);
    }

    /// @dev SHA-256 of one byte and the `size` bytes from word 1 of `scratch`.
    function _sha256(Words scratch, uint256 first, uint256 size) private view returns (bytes32 result) {
        scratch.set(0, first);
        assembly ("memory-safe") {
            // The precompile fails only where gas has run out.
            if iszero(staticcall(gas(), 2, add(scratch, 31), add(size, 1), 0x00, 0x20)) { revert(0x00, 0x00) }
            result := mload(0x00)
        }
    }
}
