#!/usr/bin/env bash
# Prints the path of schemathesis' command `st` on stdout: an environment of its own in the cache, made once.
#
#   schemathesis.sh          find it, or make it; print its path
#   schemathesis.sh --help
#
# The cache is ${TAILGAUGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailgauge}.

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSION=4.32.5
HOME_DIR="$PARTS_CACHE/schemathesis/$VERSION"

case "${1:-}" in
    '') ;;
    -h | --help) usage && exit ;;
    *) die "unknown argument '$1' (see --help)" ;;
esac

# make: a Python environment with that version; complete before it has its name.
make_environment() {
    rm -rf "$HOME_DIR"
    python3 -m venv "$HOME_DIR"
    "$HOME_DIR/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$VERSION"
    "$HOME_DIR/bin/st" --version
    touch "$HOME_DIR/complete"
}

if [[ ! -e $HOME_DIR/complete ]]; then
    lock schemathesis
fi
if [[ ! -e $HOME_DIR/complete ]]; then
    apt_provide python3=python3
    python3 -c 'import ensurepip' 2>/dev/null || step "install python3-venv" apt_install python3-venv
    step "install schemathesis $VERSION" make_environment
fi
printf '%s\n' "$HOME_DIR/bin/st"
