// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {IPermit2, PERMIT2} from "../../../contracts/src/Authorizers.sol";
import {Vm} from "../support/Vm.sol";

/// @title The cheatcodes of halmos that our proofs use
interface Svm {
    function enableSymbolicStorage(address whose) external;
    function createAddress(string memory name) external returns (address);
    function createBool(string memory name) external returns (bool);
    function createBytes(uint256 size, string memory name) external returns (bytes memory);
    function createBytes32(string memory name) external returns (bytes32);
    function createUint256(string memory name) external returns (uint256);
    function createUint(uint256 bits, string memory name) external returns (uint256);
}

/// @title What every proof starts from: the deployed bytecode, in any state
/// @notice Assumed everywhere: hashes do not collide; ecrecover is any function of its four arguments. The state before
/// is any with claimed <= deposit in the channels looked at, which every proof shows to hold afterwards too. The token
/// is any that pays exactly what it says or refuses, and calls nobody back; what funding moves into the contract may be
/// anything. An account says anything to any digest. Loops go round as often as a call has rows, which each proof says.
abstract contract Symbolic {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Svm internal constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    /// @dev Where scripts/prove lets the contract ask for SHA-256.
    address internal constant HASH = address(0x5ba256);

    IPaymentChannels internal channels;
    AnyToken internal token;
    AnyAccount internal account;

    function setUp() public virtual {
        deployAll();
        vm.etch(HASH, address(new OneHash()).code);
        svm.enableSymbolicStorage(address(channels));
        svm.enableSymbolicStorage(address(token));
        svm.enableSymbolicStorage(address(account));
    }

    function deployAll() internal {
        channels = IPaymentChannels(deploy("out/PaymentChannels.sol/PaymentChannels.json"));
        token = new AnyToken();
        account = new AnyAccount();
        vm.etch(address(PERMIT2), address(new AnyPermit2()).code);
    }

    function deploy(string memory artifact) private returns (address where) {
        bytes memory code = vm.getCode(artifact);
        assembly {
            where := create(0, add(code, 0x20), mload(code))
        }
        require(where != address(0));
    }

    /// @dev A caller that is not one of the contracts; the contract never calls itself.
    function anybody(string memory name) internal returns (address who) {
        who = svm.createAddress(name);
        vm.assume(who != address(channels) && who != address(token) && who != address(account));
        vm.assume(who != address(PERMIT2) && who != address(0) && who != address(vm) && who != address(this));
    }

    function state(bytes32 id) internal view returns (IPaymentChannels.Channel memory) {
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = id;
        return channels.channels(ids)[0];
    }

    /// @dev The state of a channel before, of which every proof assumes that no more is claimed than was deposited.
    function soundState(bytes32 id) internal view returns (IPaymentChannels.Channel memory it) {
        it = state(id);
        vm.assume(it.claimed <= it.deposit);
    }

    /// @dev && without a branch: one question to the solver, not two.
    function both(bool a, bool b) internal pure returns (bool c) {
        assembly ("memory-safe") {
            c := and(a, b)
        }
    }

    function either(bool a, bool b) internal pure returns (bool c) {
        assembly ("memory-safe") {
            c := or(a, b)
        }
    }

    function isSame(IPaymentChannels.Channel memory was, IPaymentChannels.Channel memory isNow)
        internal
        pure
        returns (bool)
    {
        bool money = both(was.deposit == isNow.deposit, was.claimed == isNow.claimed);
        return both(money, was.closesAt == isNow.closesAt);
    }

    function word(address who, uint256 number) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(who)) << 96 | number);
    }
}

/// @dev Pays exactly or refuses, whom it likes; brings what it likes. Everything in it is unknown, but for two sums: what
/// it was told to send from the contract, and by what its balance there rose. (What it sends to the contract itself
/// counts as gone.)
contract AnyToken {
    mapping(address => bool) public refuses;
    mapping(uint256 => uint256) private _gifts;
    mapping(uint256 => bool) private _fails;
    uint256 private _moment;
    uint256 private _balance;
    uint256 public gone;
    uint256 public come;
    uint256 public bits; // of all amounts sent: none is larger, so sums do not overflow

    function begin() external {
        (gone, come, bits) = (0, 0, 0);
    }

    function balanceOf(address) external view returns (uint256) {
        return _balance;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (refuses[to]) return false;
        unchecked {
            _balance -= amount;
            gone += amount;
            bits |= amount;
        }
        return true;
    }

    function transferFrom(address, address, uint256) external returns (bool) {
        give();
        return true;
    }

    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external view {
        if (_fails[_moment]) revert();
    }

    function receiveWithAuthorization(address, address, uint256, uint256, uint256, bytes32, uint8, bytes32, bytes32)
        external
    {
        give();
    }

    /// @dev Any sum, or a failure.
    function give() public {
        if (_fails[_moment]) revert();
        unchecked {
            _balance += _gifts[_moment];
            come += _gifts[_moment];
        }
    }
}

/// @dev Moves any sum in the token that it is told.
contract AnyPermit2 {
    function permitWitnessTransferFrom(
        IPermit2.PermitTransferFrom calldata permit,
        IPermit2.SignatureTransferDetails calldata,
        address,
        bytes32,
        string calldata,
        bytes calldata
    ) external {
        AnyToken(permit.permitted.token).give();
    }
}

/// @dev Accepts any digests.
contract AnyAccount {
    mapping(bytes32 => bool) public accepts;

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return accepts[digest] ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @dev In the place of SHA-256: the same for the same, and more is not said of it.
contract OneHash {
    fallback() external {
        bytes32 hash = keccak256(msg.data);
        assembly ("memory-safe") {
            mstore(0, hash)
            return(0, 32)
        }
    }
}
