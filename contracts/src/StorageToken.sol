// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title A token of fixed supply for networks that have none of their own
/// @notice Nobody can mint, burn, pause or block. The whole supply fits the uint96 amounts of PaymentChannels.
contract StorageToken is ERC20, ERC20Permit {
    uint256 public constant SUPPLY = 1_000_000_000e18;

    /// @param holder Receives the whole supply.
    constructor(address holder) ERC20("Tithebarn Storage", "TITHE") ERC20Permit("Tithebarn Storage") {
        _mint(holder, SUPPLY);
    }
}
