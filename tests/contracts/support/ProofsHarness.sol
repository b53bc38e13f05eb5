// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Proofs} from "../../../contracts/src/Proofs.sol";

/// @dev Shows the condition that a proof makes good in a domain; zero where the proof is malformed.
contract ProofsHarness {
    function conditionOf(bytes calldata proof, bytes32 domain) external view returns (bytes32) {
        return Proofs.conditionOf(proof, domain);
    }
}
