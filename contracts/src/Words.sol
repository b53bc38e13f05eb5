// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title A run of words in memory, written, hashed and logged in place
/// @notice The value is the memory address of word 0. Letting the compiler encode every row of a claim anew, allocate
/// for it and check its indices costs 1,600 gas a row more, a seventh of the whole claim.
/// @dev No index is checked and nothing is zeroed: whoever allocates words stays inside and writes all that it reads.
type Words is uint256;

using {get, set, from, copy, copyBytes, hash, typedHash, log2, log3} for Words global;

function allocate(uint256 count) pure returns (Words words) {
    assembly ("memory-safe") {
        words := mload(0x40)
        mstore(0x40, add(words, shl(5, count)))
    }
}

function get(Words words, uint256 index) pure returns (uint256 word) {
    assembly ("memory-safe") {
        word := mload(add(words, shl(5, index)))
    }
}

function set(Words words, uint256 index, uint256 word) pure {
    assembly ("memory-safe") {
        mstore(add(words, shl(5, index)), word)
    }
}

/// @dev The words from `index` on.
function from(Words words, uint256 index) pure returns (Words) {
    unchecked {
        return Words.wrap(Words.unwrap(words) + 32 * index); // an address in memory
    }
}

/// @dev Copy `count` words that start at `source` in the calldata.
function copy(Words words, uint256 index, uint256 source, uint256 count) pure {
    assembly ("memory-safe") {
        calldatacopy(add(words, shl(5, index)), source, shl(5, count))
    }
}

/// @dev Copy bytes of the calldata, to where word `index` begins.
function copyBytes(Words words, uint256 index, bytes calldata source) pure {
    assembly ("memory-safe") {
        calldatacopy(add(words, shl(5, index)), source.offset, source.length)
    }
}

function hash(Words words, uint256 index, uint256 count) pure returns (uint256 result) {
    assembly ("memory-safe") {
        result := keccak256(add(words, shl(5, index)), shl(5, count))
    }
}

/// @dev The EIP-712 digest of 0x1901 (in word 0), domain separator (word 1) and struct hash (word 2): 66 bytes.
function typedHash(Words words) pure returns (bytes32 result) {
    assembly ("memory-safe") {
        result := keccak256(add(words, 30), 66)
    }
}

/// @dev Emit an event with one indexed value; the first `count` words are its data.
function log2(Words words, uint256 count, bytes32 selector, address indexed1) {
    assembly ("memory-safe") {
        log2(words, shl(5, count), selector, indexed1)
    }
}

/// @dev Emit an event with two indexed values; the first `count` words are its data.
function log3(Words words, uint256 count, bytes32 selector, address indexed1, address indexed2) {
    assembly ("memory-safe") {
        log3(words, shl(5, count), selector, indexed1, indexed2)
    }
}
