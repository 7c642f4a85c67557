#!/bin/bash
# tests/clean_tree.sh [--user] [--keep] [-- COMMAND...]: the quick start on a bare Debian 12.
#
# Makes a minimal Debian tree with mmdebstrap from this machine's own apt sources, clones the checkout's
# HEAD into it and runs COMMAND there (default: ./quickstart) by chroot in its own mount and PID
# namespaces. --user runs it as an ordinary user who has sudo. --keep leaves the tree where it says.
# Needs root, mmdebstrap and git. Prints how long each part took; exits with the command's exit code.
set -eu

here=$(cd -- "$(dirname -- "$0")/.." && pwd)
as_user=
keep=
while [ $# -gt 0 ]; do
    case $1 in
    --user) as_user=1 ;;
    --keep) keep=1 ;;
    --) shift; break ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
[ $# -gt 0 ] || set -- ./quickstart

skip() { echo "$1: skipped"; exit 77; }
[ "$(id -u)" = 0 ] || skip "a Debian tree is made by root only"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"

tree=$(mktemp -d "${TMPDIR:-/tmp}/wattq-tree-XXXXXX")
chmod 755 "$tree"
# shellcheck disable=SC2317 # called by the trap
cleanup()
{
    if [ -n "$keep" ]; then
        echo "the tree stays in $tree"
    else
        rm -rf --one-file-system "$tree"
    fi
}
trap cleanup EXIT

sources=()
for f in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    [ -s "$f" ] && sources+=("$f")
done

start=$SECONDS
mmdebstrap --quiet --variant=minbase --include="git,ca-certificates${as_user:+,sudo,passwd}" \
    bookworm "$tree/root" "${sources[@]}"
# How this machine reaches its package mirror: proxies, certificates, names.
cp -a /etc/apt/apt.conf.d/. "$tree/root/etc/apt/apt.conf.d/"
cp -L /etc/resolv.conf /etc/hosts "$tree/root/etc/"
echo "tree: $((SECONDS - start)) s, $(du -sm "$tree/root" | cut -f1) MB"

git clone -q --no-hardlinks "file://$here" "$tree/root/srv/wattq"
echo "commit: $(git -C "$tree/root/srv/wattq" log -1 --format='%h %s')"
user=root
if [ -n "$as_user" ]; then
    user=student
    chroot "$tree/root" useradd -m -s /bin/bash student
    echo 'student ALL=(ALL) NOPASSWD: ALL' >"$tree/root/etc/sudoers.d/student"
    chroot "$tree/root" chown -R student: /srv/wattq
fi

# shellcheck disable=SC2016 # expanded inside
# What is mounted goes with the namespaces, and so does every process the command leaves behind.
inside='
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t sysfs -o ro sysfs "$1/sys" || mount --rbind -o ro /sys "$1/sys"
mount -t tmpfs tmpfs "$1/tmp"
tree=$1 user=$2
shift 2
exec chroot "$tree" setpriv --reuid "$user" --regid "$user" --init-groups \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$(chroot "$tree" getent passwd "$user" | cut -d: -f6)" \
    LANG=C.UTF-8 sh -c "cd /srv/wattq && exec \"\$@\"" sh "$@"'
start=$SECONDS
rc=0
unshare --mount --pid --fork --kill-child sh -eu -c "$inside" sh "$tree/root" "$user" "$@" </dev/null || rc=$?
echo "command: $((SECONDS - start)) s, exit $rc"
exit $rc
