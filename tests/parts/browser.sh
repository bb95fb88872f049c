#!/usr/bin/env bash
# Makes a browser available, and the packages that drive it; prints the browser's path on stdout.
#
#   browser.sh          find or install them; print the path of chromium
#   browser.sh --help
#
# A chromium that is there is used (CHROMIUM names one); otherwise Debian's is installed, as root. The packages of
# tests/browser (playwright-core, axe-core) are those of its lock file; none brings a browser of its own.

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
    '') ;;
    -h | --help) usage && exit ;;
    *) die "unknown argument '$1' (see --help)" ;;
esac

BROWSER_TESTS="$PARTS_DIR/../browser"

# found: the path of a chromium.
found() {
    local name
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
        if [[ -n $name ]] && command -v "$name"; then
            return
        fi
    done
    return 1
}

# packages: those of the lock file, unless they are there.
packages() {
    cd "$BROWSER_TESTS"
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
    cp package-lock.json node_modules/.tailgauge-lock
}

apt_provide node=nodejs npm=npm
found >/dev/null || step "install chromium" apt_install chromium
lock browser
cmp --silent "$BROWSER_TESTS/package-lock.json" "$BROWSER_TESTS/node_modules/.tailgauge-lock" ||
    step "the packages of the browser tests" packages
found
