// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Handler} from "./invariants/Handler.sol";

/// @title Runs of random steps by everybody, after each of which all invariants of Invariants.md hold
/// @notice Foundry walks anew for every invariant function, the same way with the same seed; so there is one.
contract InvariantsTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler private handler;

    function setUp() external {
        handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), new bytes4[](18));
        bytes4[] memory steps = targets[0].selectors;
        (steps[0], steps[1], steps[2]) = (handler.fundMany.selector, handler.fundAlone.selector, handler.give.selector);
        (steps[3], steps[4]) = (handler.fundByPermit.selector, handler.fundByAuthorization.selector);
        (steps[5], steps[6]) = (handler.fundByPermit2.selector, handler.robFunding.selector);
        (steps[7], steps[8]) = (handler.claimMany.selector, handler.claimAlone.selector);
        (steps[9], steps[10]) = (handler.claimManyProven.selector, handler.claimAloneProven.selector);
        (steps[11], steps[12]) = (handler.relayMany.selector, handler.pushMany.selector);
        (steps[13], steps[14]) = (handler.closeMany.selector, handler.withdrawMany.selector);
        (steps[15], steps[16]) = (handler.releaseOne.selector, handler.passTime.selector);
        steps[17] = handler.changeMood.selector;
    }

    function invariant_HoldsAfterEveryStep() external {
        handler.check();
    }

    function afterInvariant() external {
        handler.finish();
        handler.report();
    }
}
