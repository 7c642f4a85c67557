# Sourced by run: what the guest is made of, each piece made once below $cache and kept.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of and for the script that sources this

host_packages=(mmdebstrap e2fsprogs qemu-system-x86 openipmi libopenipmi-dev build-essential)
guest_packages=(linux-image-amd64 initramfs-tools zstd kmod udev i2c-tools procps util-linux mount
    libuv1 libsqlite3-0 libjansson4 libmsgpackc2 libsystemd0 libopenblas0-serial zlib1g)
driver_files=(ina2xx.c ina3221.c pmbus/pmbus.h pmbus/pmbus_core.c pmbus/lm25066.c)

install_host_packages()
{
    local package missing=()
    for package in "$@"; do
        dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed$' || missing+=("$package")
    done
    ((${#missing[@]} == 0)) && return
    apt-get -q -o DPkg::Lock::Timeout=300 update &&
        DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"
}

# A Debian tree with its kernel and what wattqd links to, from the sources this machine itself uses.
# What was cut off while it made a tree leaves the machine's /proc and /sys mounted there: not to be removed with it.
unmount_below()
{
    awk -v at="$1/" 'index($5, at) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r umount -l
}

make_tree()
{
    local sources=/etc/apt/sources.list.d/debian.sources
    [[ -e $sources ]] || sources=/etc/apt/sources.list
    unmount_below "$cache"
    rm -rf --one-file-system "$cache/tree" "$cache/tree.part"
    mmdebstrap --variant=minbase --include="$(IFS=,; echo "${guest_packages[*]}")" \
        --aptopt='DPkg::Lock::Timeout "300"' bookworm "$cache/tree.part" "$sources" || return 1
    cat >"$cache/tree.part/sbin/payload" <<'INIT'
#!/bin/sh
# The first process: everything else comes on the second disk.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs run /run
mkdir -p /run/payload
mount -o ro /dev/vdb /run/payload && /run/payload/guest.sh >/dev/ttyS1 2>&1
sync
echo o >/proc/sysrq-trigger
sleep 10
INIT
    chmod 755 "$cache/tree.part/sbin/payload"
    rm -rf "$cache/tree.part/var/cache/apt" "$cache/tree.part/var/lib/apt/lists"
    mv "$cache/tree.part" "$cache/tree"
}

kernel_version() { basename "$(echo "$cache"/tree/boot/vmlinuz-*)" | sed 's/^vmlinuz-//'; }

make_image()
{
    rm -f "$cache/tree.img"
    mke2fs -q -F -t ext4 -d "$cache/tree" "$cache/tree.part" 1600M && mv "$cache/tree.part" "$cache/tree.img"
}

# Our two modules and the kernel's own hwmon drivers that Debian does not build.
make_modules()
{
    local version=$1 dir=$cache/modules archive file
    install_host_packages "linux-headers-$version" || return 1
    rm -rf "$dir" && mkdir -p "$dir"
    (
        cd "$dir" && apt-get -q download linux-source-6.1 && dpkg-deb -x linux-source-6.1_*.deb source &&
            rm -f linux-source-6.1_*.deb
    ) || return 1
    archive=$(echo "$dir"/source/usr/src/linux-source-*.tar.xz)
    for file in "${driver_files[@]}"; do
        printf 'linux-source-6.1/drivers/hwmon/%s\n' "$file"
    done >"$dir/wanted"
    tar -xJf "$archive" -C "$dir" --strip-components=3 --transform 's,pmbus/,,' -T "$dir/wanted" || return 1
    rm -rf "$dir/source"
    cp "$here"/fake_powercap.c "$here"/fake_powerpmu.c "$dir" || return 1
    printf 'obj-m += %s\n' ina2xx.o ina3221.o pmbus_core.o lm25066.o fake_powercap.o fake_powerpmu.o >"$dir/Makefile"
    make -C "/lib/modules/$version/build" M="$dir" modules || return 1
    touch "$dir/done"
}
