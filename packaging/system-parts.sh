#!/usr/bin/env bash
# Bring the system parts that set-up (venv) or the tests (test) use, where this user may install.
set -u
PATH="$PATH:/usr/sbin:/sbin"
PYTHON="${PYTHON:-python3}"

may_install() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_parts() {
    echo "Installing: $*"
    as_root apt-get -qq update || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

venv_part() {
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "Edge needs Python 3.11 or newer; $PYTHON is older or missing." >&2
        exit 1
    }
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null && exit 0
    if may_install && install_parts python3-venv; then exit 0; fi
    echo "python3-venv is missing. Install it: sudo apt-get install python3-venv" >&2
    exit 1
}

missing=()
skipped=()
need() { # package, what is skipped without it, commands of which one is enough
    local package=$1 what=$2 name
    shift 2
    for name in "$@"; do command -v "$name" >/dev/null && return; done
    missing+=("$package")
    skipped+=("$what")
}

look_for_test_parts() {
    missing=()
    skipped=()
    need freeradius "RADIUS logins and accounting" freeradius
    need freeradius-utils "RADIUS logins and accounting" radclient
    need gammu "the modem driven by another program" gammu
    need nodejs "the router simulator spoken to by another program" node nodejs
    need chromium "pages in a real browser" chromium chromium-browser
    need chromium-driver "pages in a real browser" chromedriver
    need redis-server "several machines" redis-server
    need postgresql "several machines, and everything on PostgreSQL" initdb /usr/lib/postgresql/*/bin/initdb
}

# The tests start their servers themselves. Debian's services, which an install starts, would hold their ports; one
# that was there before us is left as it is.
SERVICES="freeradius redis-server postgresql"

services_there() {
    local name
    for name in $SERVICES; do
        [ -e "/lib/systemd/system/$name.service" ] || [ -e "/etc/init.d/$name" ] && printf '%s ' "$name"
    done
}

stop_new_services() { # those that were there before
    local name
    for name in $(services_there); do
        case " $1 " in *" $name "*) continue ;; esac
        if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
            as_root systemctl disable --quiet --now "$name.service"
        elif command -v service >/dev/null; then
            as_root service "$name" stop >/dev/null 2>&1
        fi
    done
    return 0
}

test_parts() {
    look_for_test_parts
    [ ${#missing[@]} = 0 ] && exit 0
    if may_install; then
        local had
        had=$(services_there)
        install_parts "${missing[@]}" || echo "Not everything could be installed." >&2
        stop_new_services "$had"
        look_for_test_parts
        [ ${#missing[@]} = 0 ] && exit 0
    fi
    echo "These tests will be skipped:"
    printf '%s\n' "${skipped[@]}" | sort -u | sed 's/^/  - /'
    echo "One command brings what they need: sudo apt-get install --no-install-recommends ${missing[*]}"
    exit 0
}

case "${1:-}" in
    venv) venv_part ;;
    test) test_parts ;;
    *) echo "usage: $0 venv|test" >&2; exit 2 ;;
esac
