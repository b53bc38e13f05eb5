// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AuthorizedToken, IHook} from "../support/Tokens.sol";

/// @dev A token with every bad manner that anybody can put it into: it blocks whom it likes, by reverting or by
/// returning false; it calls somebody in the middle of its next transfer and may then deny that transfer; it delivers less
/// than it was asked for; and it takes from balances by itself.
contract MoodyToken is AuthorizedToken {
    mapping(address => bool) public blocked;
    bool public polite;
    IHook public hook;
    bool public denies;
    address public skimmed;

    error Blocked(address who);

    function setBlocked(address who, bool yes) external {
        blocked[who] = yes;
    }

    function setPolite(bool yes) external {
        polite = yes;
    }

    /// @dev For the next transfer only.
    function arm(IHook hook_, bool denies_) external {
        (hook, denies) = (hook_, denies_);
    }

    /// @dev Deliver one less than asked to somebody, zero for nobody.
    function skim(address whom) external {
        skimmed = whom;
    }

    /// @dev Take from a balance, for `give` to bring back.
    function shrink(address whose, uint256 amount) external {
        super._update(whose, address(this), amount);
    }

    function give(address to, uint256 amount) external {
        super._update(address(this), to, amount);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (polite && blocked[to]) return false;
        if (!denies) return super.transfer(to, amount);
        denies = false;
        interrupt(msg.sender, to);
        return false;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (blocked[from]) revert Blocked(from);
        if (blocked[to]) revert Blocked(to);
        if (from != address(0)) interrupt(from, to);
        super._update(from, to, to == skimmed && amount != 0 ? amount - 1 : amount);
    }

    function interrupt(address from, address to) private {
        IHook armed = hook;
        if (address(armed) == address(0)) return;
        hook = IHook(address(0));
        armed.onMove(from, to);
    }
}
