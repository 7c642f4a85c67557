#!/bin/sh
# tests/install_check.sh: what `cmake --install` puts somewhere works from there, and nothing is missing.
# Builds the release preset if need be; leaves nothing behind.
set -eu

cd "$(dirname -- "$0")/.."
stage=$(mktemp -d "${TMPDIR:-/tmp}/wattq-install-XXXXXX")
daemon=
# shellcheck disable=SC2317 # called by the trap
cleanup()
{
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    [ -z "$daemon" ] || wait "$daemon" || true
    rm -rf "$stage"
}
trap cleanup EXIT

cmake --preset release >/dev/null
cmake --build build
cmake --install build --prefix "$stage/usr" >/dev/null
find "$stage/usr" -type f | sort | sed "s|$stage||"

bin=$stage/usr/bin
for file in bin/wattq bin/wattqd bin/wattq-shepherd bin/wattq-script bin/wattq-train bin/wattq-meters bin/wattq-meter-http share/man/man1/wattq.1 \
    share/man/man8/wattqd.8 share/man/man8/wattq-shepherd.8 share/man/man8/wattq-launcher.8; do
    [ -f "$stage/usr/$file" ] || { echo "cmake --install did not install $file"; exit 1; }
done
if readelf -d "$bin"/* | grep -E 'R(UN)?PATH'; then
    echo "an installed program looks for libraries in the build tree"
    exit 1
fi
"$bin/wattqd" --version
"$bin/wattq-train" --version
"$bin/wattq" version

mkdir -m 700 "$stage/state" "$stage/run"
WATTQ_SOCKET=$stage/run/wattqd.sock
export WATTQ_SOCKET
: >"$stage/wattqd.conf"
"$bin/wattqd" --state-dir "$stage/state" --runtime-dir "$stage/run" --socket "$WATTQ_SOCKET" \
    --config "$stage/wattqd.conf" &
daemon=$!
tries=0
until "$bin/wattq" info >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -le 100 ] || { echo "the installed wattqd does not answer"; exit 1; }
    sleep 0.1
done
"$bin/wattq" train -W --dataset standin:banana --shape rectangle --depth 3 --size 256 --epochs 2
"$bin/wattq" submit -W -- true
kill "$daemon"
wait "$daemon" || { echo "the installed wattqd did not stop cleanly"; exit 1; }
daemon=
