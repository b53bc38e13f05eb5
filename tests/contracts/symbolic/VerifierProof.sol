// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Vm} from "../support/Vm.sol";
import {Svm, Symbolic} from "./Symbolic.sol";

/// @title The verifier refuses every proof whose length, indices or sizes are not those of its challenge
/// @notice A proof says which leaves of how large a tree it shows; how many bytes have to follow is computed here a
/// second time, from RFC 9162. Every byte of leaves, paths and names is unknown.
///
/// Bounds: for lengths, one item of one index in trees of 1 to 5 leaves, the last of which has 1, 1,023 or 1,024 bytes;
/// 1, 2, 31, 32 or 33 bytes missing, or cut off at any border within the head or beside it; 1 to 48 bytes too many (with
/// 49 there is room for an index of a further item, with 52 for the item). A last leaf of 0, 1,025 to 1,056 or 65,535
/// bytes. Pairs of indices in a tree of four. Any index of any tree, any number of indices. Of SHA-256 is assumed only
/// that it is never zero, see AnyHash.
contract VerifierProof is Symbolic {
    uint256 private constant LEAF = 1024;

    /// @dev Where the length of a proof stands in the data of a call: after the selector and eight words.
    uint256 private constant LENGTH = 4 + 8 * 32;

    function setUp() public override {
        deployAll();
        vm.etch(HASH, address(new AnyHash()).code);
    }

    /// @dev Otherwise all else here would say little.
    function check_takesTheRightLength() external {
        for (uint256 leafCount = 1; leafCount <= 5; ++leafCount) {
            for (uint256 index; index < leafCount; ++index) {
                assert(!refuses(proofOf(leafCount, index, LEAF)));
            }
        }
    }

    function check_refusesWhatIsTooShort() external {
        for (uint256 leafCount = 1; leafCount <= 5; ++leafCount) {
            for (uint256 index; index < leafCount; ++index) {
                bytes memory proof = proofOf(leafCount, index, LEAF);
                bytes memory data = callWith(proof);
                assertRefusesLess(data, proof.length);
                // The names end at 64, the tree's size at 72, the head at 81, the length of a last leaf at 83.
                uint8[12] memory lengths = [1, 31, 32, 33, 63, 64, 71, 72, 73, 80, 81, 82];
                for (uint256 i; i < lengths.length; ++i) {
                    assert(refuses(data, lengths[i]));
                }
            }
        }
    }

    /// @dev What is chosen is decided before the call: a call that forks must not be followed by another.
    function check_refusesWhatIsTooLong(uint256 leafCount, uint256 index, uint256 more) external {
        for (uint256 count = 1; count <= 5; ++count) {
            for (uint256 i; i < count; ++i) {
                if (leafCount == count && index == i) return assertRefusesMore(proofOf(count, i, LEAF), more);
            }
        }
    }

    /// @dev A last leaf that says another length than it has.
    function check_refusesAnotherLengthOfTheLastLeaf(uint256 size, uint256 more) external {
        uint256[3] memory sizes = [uint256(1), 1023, 1024];
        for (uint256 i; i < 3; ++i) {
            if (size != sizes[i]) continue;
            bytes memory proof = proofOf(3, 2, sizes[i]);
            assertRefusesLess(callWith(proof), proof.length);
            return assertRefusesMore(proof, more);
        }
    }

    function assertRefusesLess(bytes memory data, uint256 length) private {
        uint8[5] memory missing = [1, 2, 31, 32, 33];
        for (uint256 i; i < missing.length; ++i) {
            assert(refuses(data, length - missing[i]));
        }
    }

    function assertRefusesMore(bytes memory proof, uint256 more) private {
        bytes memory data = callWith(abi.encodePacked(proof, svm.createBytes(48, "more")));
        for (uint256 i = 1; i <= 48; ++i) {
            if (more == i) {
                assert(refuses(data, proof.length + i));
                return;
            }
        }
    }

    function check_refusesALastLeafOfNoOrTooManyBytes() external {
        assert(refuses(proofOf(2, 1, 0)));
        for (uint256 size = LEAF + 1; size <= LEAF + 32; ++size) {
            assert(refuses(proofOf(2, 1, size)));
        }
        assert(refuses(proofOf(2, 1, type(uint16).max)));
    }

    function check_refusesAnIndexOutsideTheTree(uint64 leafCount, uint64 index) external {
        vm.assume(index >= leafCount);
        bytes memory proof = abi.encodePacked(
            svm.createBytes(64, "auditId, agreement"), leafCount, uint8(1), index, svm.createBytes(LEAF, "leaf")
        );
        assert(refuses(proof));
    }

    /// @dev Five with all five leaves of a tree of five; of the others the first byte behind their head is never read.
    function check_refusesAnyNumberOfIndicesButOneToFour(uint8 count) external {
        vm.assume(count == 0 || count > 4);
        bytes memory names = svm.createBytes(64, "auditId, agreement");
        bytes memory indices = abi.encodePacked(uint64(0), uint64(1), uint64(2), uint64(3), uint64(4));
        if (count == 5) {
            bytes memory four = svm.createBytes(4 * (LEAF + 96), "four leaves, paths");
            bytes memory last = svm.createBytes(LEAF + 32, "last leaf, path");
            bytes memory head = abi.encodePacked(names, uint64(5), uint8(5), indices);
            assert(refuses(abi.encodePacked(head, four, uint16(LEAF), last)));
        } else {
            assert(refuses(abi.encodePacked(names, uint64(5), count, svm.createBytes(8 * 255, "indices"))));
        }
    }

    /// @dev Two leaves of a tree of four, but not its last, of which the second does not stand behind the first.
    function check_refusesIndicesThatDoNotRise() external {
        bytes memory names = svm.createBytes(64, "auditId, agreement");
        bytes memory shown = svm.createBytes(2 * (LEAF + 64), "leaves, paths");
        for (uint256 first; first < 3; ++first) {
            for (uint256 second; second <= first; ++second) {
                bytes memory head = abi.encodePacked(names, uint64(4), uint8(2), uint64(first), uint64(second));
                assert(refuses(abi.encodePacked(head, shown)));
            }
        }
    }

    /// @dev A proof of the right length.
    function proofOf(uint256 leafCount, uint256 index, uint256 lastSize) private returns (bytes memory) {
        bool last = index == leafCount - 1;
        bytes memory length = last ? abi.encodePacked(uint16(lastSize)) : bytes("");
        uint256 rest = (last ? lastSize : LEAF) + 32 * pathLength(leafCount, index);
        return abi.encodePacked(
            svm.createBytes(64, "auditId, agreement"),
            uint64(leafCount),
            uint8(1),
            uint64(index),
            length,
            svm.createBytes(rest, "leaf, path")
        );
    }

    /// @dev RFC 9162 2.1.3.1, by its recursion: the left subtree has the largest power of two below the tree's size.
    function pathLength(uint256 leafCount, uint256 index) private pure returns (uint256) {
        if (leafCount == 1) return 0;
        uint256 left = 1;
        while (left * 2 < leafCount) left *= 2;
        return 1 + (index < left ? pathLength(left, index) : pathLength(leafCount - left, index - left));
    }

    /// @dev A claim from an empty channel: with a well-formed proof it is refused for another reason.
    function callWith(bytes memory proof) private view returns (bytes memory) {
        IPaymentChannels.Claim memory row;
        return abi.encodeCall(channels.claimOneProven, (address(token), row, proof));
    }

    function refuses(bytes memory proof) private returns (bool) {
        return refuses(callWith(proof), proof.length);
    }

    /// @dev Whether the contract refuses the first `length` bytes of the proof in a call; all of them for zero.
    function refuses(bytes memory data, uint256 length) private returns (bool) {
        if (length != 0) {
            assembly ("memory-safe") {
                mstore(add(add(data, 0x20), LENGTH), length)
            }
        }
        (bool done, bytes memory answer) = address(channels).call(data);
        assert(!done && bytes4(answer) == IPaymentChannels.Refused.selector);
        uint256 reason;
        assembly ("memory-safe") {
            reason := mload(add(answer, 0x44))
        }
        return reason == uint256(IPaymentChannels.Reason.BAD_PROOF);
    }
}

/// @dev In the place of SHA-256: anything but zero, and something else each time it is asked.
contract AnyHash {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Svm private constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    fallback() external {
        bytes32 hash = svm.createBytes32("hash");
        vm.assume(hash != 0);
        assembly ("memory-safe") {
            mstore(0, hash)
            return(0, 32)
        }
    }
}
