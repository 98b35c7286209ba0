#!/bin/sh
# Installs from Debian what the tests start or talk to, where that is possible without asking anybody:
# apt-get exists, and we are root or may become root without a password. Otherwise it says what is missing; the
# tests that need it are then skipped with the same reason. Nothing is started: the services of the packages stay down.
#
# TLSWEEP_INSTALL_SERVERS=0 installs nothing.
# Always exits 0: an absent server makes for skipped tests, not for a failed installation.
set -eu

PATH=$PATH:/usr/sbin:/sbin
POLICY=/usr/sbin/policy-rc.d
SAVED=/usr/sbin/policy-rc.d.before-tlsweep

# command:package
WANTED="nginx:nginx openssl:openssl gnutls-serv:gnutls-bin gnutls-cli:gnutls-bin haproxy:haproxy apache2:apache2-bin \
selfserv:libnss3-tools curl:curl"

packages=
for pair in $WANTED; do
    if ! command -v "${pair%%:*}" >/dev/null 2>&1; then
        case " $packages " in *" ${pair##*:} "*) ;; *) packages="$packages ${pair##*:}" ;; esac
    fi
done
[ -n "$packages" ] || exit 0

give_up() {
    echo "Not installed:$packages ($1). Tests that need them are skipped; to have them, as root: apt-get install$packages" >&2
    exit 0
}

[ "${TLSWEEP_INSTALL_SERVERS:-1}" != 0 ] || give_up "TLSWEEP_INSTALL_SERVERS is 0"
command -v apt-get >/dev/null 2>&1 || give_up "there is no apt-get on this machine"
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    give_up "only root may install packages"
fi

# Debian's packages start their services; policy-rc.d is its way to say no. One that is there is put back afterwards.
restore() {
    $as_root rm -f "$POLICY"
    if [ -e "$SAVED" ]; then $as_root mv "$SAVED" "$POLICY"; fi
}
# A run that was killed left its own behind, and the machine's beside it.
if [ -e "$SAVED" ]; then restore; fi
if [ -e "$POLICY" ]; then $as_root mv "$POLICY" "$SAVED"; fi
trap restore EXIT
trap 'exit 130' INT TERM HUP
printf '#!/bin/sh\n# Made by scripts/install_test_servers.sh while it installs; delete it if it is still here afterwards.\nexit 101\n' |
    $as_root tee "$POLICY" >/dev/null
$as_root chmod 755 "$POLICY"

install() {
    # shellcheck disable=SC2086 # both are lists
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 $packages </dev/null >"$log" 2>&1
}
log=$(mktemp)
echo "Installing for the tests:$packages"
if ! install; then
    $as_root apt-get update -qq </dev/null >>"$log" 2>&1 || true
    if ! install; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        give_up "apt-get could not install them"
    fi
fi
rm -f "$log"
