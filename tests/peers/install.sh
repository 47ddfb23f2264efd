#!/bin/sh
# Installs what the tests in this folder talk to: Debian packages by apt-get, Python clients into .venv-peers, and a
# whole Debian as .peers-root/debian.tar.
# Doing it again changes nothing. Services that the packages bring are not started: the tests start their own.
set -eu
cd "$(dirname "$0")/../.."

PACKAGES="gammu gnokii-cli pcscd pcsc-tools libccid nut-server nut-client umockdev gir1.2-umockdev-1.0 python3-gi
mosquitto mosquitto-clients debootstrap postgresql chromium fonts-noto-cjk"
# A Debian to install our own package in. libpam-systemd is what polkitd means by a logind.
DEBIAN="bookworm --variant=minbase --include=python3,systemd,systemd-sysv,dbus,udev,libpam-systemd,polkitd"
CLIENTS="python-escpos==3.1 python-gsmmodem-new==0.13"
POLICY=/usr/sbin/policy-rc.d # Debian's own switch: 101 from it means that no service is started

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
policy_is_ours=
log=$(mktemp)

leave() {
    status=$?
    [ "$status" = 0 ] || cat "$log" >&2
    [ -z "$policy_is_ours" ] || $as_root rm -f "$POLICY"
    rm -f "$log"
    exit "$status"
}
trap leave EXIT

missing=
for package in $PACKAGES; do
    [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    if [ ! -e "$POLICY" ]; then
        policy_is_ours=yes
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$POLICY" >/dev/null
        $as_root chmod 755 "$POLICY"
    fi
    wait_for_lock="-o DPkg::Lock::Timeout=120"
    # shellcheck disable=SC2086 # lists of words
    $as_root apt-get -qq $wait_for_lock update >>"$log" 2>&1
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y $wait_for_lock install --no-install-recommends $missing \
        >>"$log" 2>&1
fi

if [ "$(cat .venv-peers/.installed 2>/dev/null)" != "$CLIENTS" ]; then
    # An environment of its own: nothing that these clients need may help the product along.
    .venv/bin/python -m venv .venv-peers
    echo '*' >.venv-peers/.gitignore
    # shellcheck disable=SC2086
    .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check $CLIENTS >>"$log" 2>&1
    printf '%s' "$CLIENTS" >.venv-peers/.installed
fi

if [ "$(cat .peers-root/.installed 2>/dev/null)" != "$DEBIAN" ]; then
    mkdir -p .peers-root
    echo '*' >.peers-root/.gitignore
    $as_root rm -rf .peers-root/tree
    # shellcheck disable=SC2086
    $as_root debootstrap ${DEBIAN#* } "${DEBIAN%% *}" .peers-root/tree >>"$log" 2>&1
    $as_root rm -rf .peers-root/tree/var/cache/apt .peers-root/tree/var/lib/apt/lists .peers-root/tree/usr/share/locale
    $as_root tar -C .peers-root/tree -cf .peers-root/debian.tar .
    $as_root rm -rf .peers-root/tree
    printf '%s' "$DEBIAN" >.peers-root/.installed
fi
