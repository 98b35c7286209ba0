#!/bin/sh
# Installs the Debian packages of the servers and tools that the tests use, if apt-get exists and we are root or
# can become root without a password. Otherwise it prints what is missing; tests that need it are skipped.
#
# Nothing but the packages is changed: no service is started or enabled, and no package is removed because it
# conflicts with a new one.
#
# TLSWEEP_INSTALL_SERVERS=0 installs nothing.
# Always exits with status 0, because a missing server only means skipped tests.
set -eu

PATH=$PATH:/usr/sbin:/sbin
POLICY=/usr/sbin/policy-rc.d
SAVED=/usr/sbin/policy-rc.d.before-tlsweep

# TLS servers and clients, and other tools, as command:package. A command need not come from Debian's package.
COMMANDS="nginx:nginx openssl:openssl gnutls-serv:gnutls-bin gnutls-cli:gnutls-bin haproxy:haproxy apache2:apache2-bin \
selfserv:libnss3-tools stunnel:stunnel4 redis-server:redis-server mosquitto:mosquitto curl:curl mitmdump:mitmproxy \
shellcheck:shellcheck ip:iproute2 zstd:zstd promtool:prometheus zsh:zsh fish:fish man:man-db"
# Servers with STARTTLS
PACKAGES="dovecot-imapd dovecot-pop3d dovecot-managesieved dovecot-lmtpd vsftpd slapd prosody inspircd postfix \
postgresql mariadb-server-core"
# DNS servers, and libfaketime, which sets the time for GnuTLS
OTHERS="unbound bind9 dnsmasq-base libfaketime"

missing=
for pair in $COMMANDS; do
    if ! command -v "${pair%%:*}" >/dev/null 2>&1; then
        case " $missing " in *" ${pair##*:} "*) ;; *) missing="$missing ${pair##*:}" ;; esac
    fi
done
more=
for package in $PACKAGES $OTHERS; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || more="$more $package"
done
[ -n "$missing$more" ] || exit 0

not_installed() {
    echo "Not installed:$2 ($1). Tests that need them are skipped; to have them, as root: apt-get install$2" >&2
}
give_up() {
    not_installed "$1" "$missing$more"
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

work=$(mktemp -d)
services() {
    ls /etc/init.d /lib/systemd/system 2>/dev/null | sort -u
}
services >"$work/before"

# Debian's packages start their services unless policy-rc.d forbids it. An existing policy is restored afterwards.
restore_policy() {
    $as_root rm -f "$POLICY"
    if [ -e "$SAVED" ]; then $as_root mv "$SAVED" "$POLICY"; fi
}
# Disable the services that this run has installed, so that they do not start at the next boot.
disable_new_services() {
    services | comm -13 "$work/before" - | while read -r name; do
        case $name in
        *@.* | *.wants | *.d) ;;
        *.service | *.socket | *.timer | *.target | *.path)
            if command -v systemctl >/dev/null 2>&1; then $as_root systemctl disable "$name" </dev/null >/dev/null 2>&1 || true; fi
            ;;
        *) $as_root update-rc.d "$name" disable </dev/null >/dev/null 2>&1 || true ;;
        esac
    done
}
finish() {
    disable_new_services
    restore_policy
    rm -rf "$work"
}
# If an earlier run was killed, restore the policy that it had saved.
if [ -e "$SAVED" ]; then restore_policy; fi
if [ -e "$POLICY" ]; then $as_root mv "$POLICY" "$SAVED"; fi
trap finish EXIT
trap 'exit 130' INT TERM HUP
printf '#!/bin/sh\n# Made by scripts/install_test_servers.sh while it installs; delete it if it is still here afterwards.\nexit 101\n' |
    $as_root tee "$POLICY" >/dev/null
$as_root chmod 755 "$POLICY"

install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=120 "$@" </dev/null >"$work/log" 2>&1
}
echo "Installing for the tests:$missing$more"
# shellcheck disable=SC2086 # they are lists
if ! install $missing $more; then
    $as_root apt-get update -qq </dev/null >/dev/null 2>&1 || true
    if ! install $missing $more; then
        # Install one by one: a package may be impossible to install, for example if there is another mail server.
        failed=
        for package in $missing $more; do
            install "$package" || failed="$failed $package"
        done
        if [ -n "$failed" ]; then
            tail -n 3 "$work/log" >&2
            not_installed "apt-get could not install them" "$failed"
        fi
    fi
fi
