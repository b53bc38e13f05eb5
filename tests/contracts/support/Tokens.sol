// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IPermit2} from "../../../contracts/src/Authorizers.sol";
import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";

/// @dev A token whose first holder is the test.
abstract contract TestToken is ERC20 {
    constructor() ERC20("Test", "TEST") {
        _mint(msg.sender, 1_000_000_000e18);
    }
}

/// @dev Refuses to pay some: by a revert, or by returning false.
contract BlocklistToken is TestToken {
    mapping(address => bool) public blocked;
    bool public politely;

    function block_(address who) external {
        blocked[who] = true;
    }

    function unblock(address who) external {
        blocked[who] = false;
    }

    function bePolite() external {
        politely = true;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (blocked[to]) {
            if (politely) return false;
            revert("blocked");
        }
        return super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (blocked[from]) return false;
        return super.transferFrom(from, to, amount);
    }
}

/// @dev Moves by signed authorizations as EIP-3009 says, of which only `receiveWithAuthorization` is needed here.
contract AuthorizedToken is TestToken, EIP712 {
    bytes32 public constant RECEIVE_TYPE = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,"
        "bytes32 nonce)"
    );

    mapping(address authorizer => mapping(bytes32 nonce => bool)) public authorizationState;

    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);

    constructor() EIP712("Test", "2") {}

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        require(to == msg.sender, "caller must be the payee");
        require(block.timestamp > validAfter, "authorization is not yet valid");
        require(block.timestamp < validBefore, "authorization is expired");
        require(!authorizationState[from][nonce], "authorization is used");
        bytes32 digest = authorizationDigest(from, to, value, validAfter, validBefore, nonce);
        require(ECDSA.recover(digest, v, r, s) == from, "invalid signature");
        authorizationState[from][nonce] = true;
        emit AuthorizationUsed(from, nonce);
        _transfer(from, to, value);
    }

    function authorizationDigest(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce
    ) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(RECEIVE_TYPE, from, to, value, validAfter, validBefore, nonce)));
    }
}

/// @dev Takes a call it does not know for something else and says nothing, like wrapped ether.
contract FallbackToken is TestToken {
    fallback() external {}
}

/// @dev Keeps one in a hundred of what it moves.
contract FeeToken is TestToken {
    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = from == address(0) ? 0 : amount / 100;
        super._update(from, to, amount - fee);
        if (fee != 0) super._update(from, address(this), fee);
    }
}

/// @dev Knows EIP-3009, asks for no signature and keeps one in a hundred.
contract GreedyToken is FeeToken {
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256,
        uint256,
        bytes32,
        uint8,
        bytes32,
        bytes32
    ) external {
        _transfer(from, to, value);
    }
}

/// @dev Stands in for Permit2 where its signature does not matter, only what the token does.
contract CarelessMover {
    function permitWitnessTransferFrom(
        IPermit2.PermitTransferFrom calldata permit,
        IPermit2.SignatureTransferDetails calldata details,
        address owner,
        bytes32,
        string calldata,
        bytes calldata
    ) external {
        ERC20(permit.permitted.token).transferFrom(owner, details.to, details.requestedAmount);
    }
}

/// @dev Changes balances by itself.
contract ShrinkingToken is TestToken {
    function shrink(address whose) external {
        _burn(whose, balanceOf(whose) / 2);
    }
}

/// @dev Returns nothing, like the largest of the old ones.
contract SilentToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor() {
        balanceOf[msg.sender] = 1_000_000_000e18;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        move(from, to, amount);
    }

    function move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

interface IHook {
    function onMove(address from, address to) external;
}

/// @dev Calls somebody before it moves anything, as ERC-777 calls the sender, and can then say it did not move.
contract HookToken is TestToken {
    IHook private _hook;
    bool private _lies;

    function arm(IHook hook, bool lies) external {
        (_hook, _lies) = (hook, lies);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        bool lie = call(msg.sender, to);
        return !lie && super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        call(from, to);
        return super.transferFrom(from, to, amount);
    }

    function call(address from, address to) private returns (bool lie) {
        IHook hook = _hook;
        if (address(hook) == address(0)) return false;
        _hook = IHook(address(0)); // once
        hook.onMove(from, to);
        return _lies;
    }
}

/// @dev Does in the middle of a transfer what it was told to do, as whoever it is, whether that works or not.
contract Meddler is IHook {
    address private immutable _channels;
    bytes[] private _calls;
    bool public succeeded;

    constructor(IPaymentChannels channels) {
        _channels = address(channels);
    }

    function plan(bytes memory data) external {
        _calls.push(data);
    }

    /// @dev Call something from this address.
    function act(address target, bytes memory data) external returns (bytes memory answer) {
        bool success;
        (success, answer) = target.call(data);
        if (!success) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    function onMove(address, address) external {
        succeeded = true;
        for (uint256 i; i < _calls.length; ++i) {
            (bool success,) = _channels.call(_calls[i]);
            succeeded = succeeded && success;
        }
    }
}
