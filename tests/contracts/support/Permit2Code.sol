// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Preinstalls} from "@eth-optimism/contracts-bedrock/src/libraries/Preinstalls.sol";

/// @dev Tells the code of Permit2 as it stands at its address on every chain, with this chain's id.
contract Permit2Code {
    function runtime() external view returns (bytes memory) {
        return Preinstalls.getPermit2Code(block.chainid);
    }
}
