#!/bin/bash
# In the guest, as its first process's only child: loads the meters, runs wattqd and wattq, prints what they
# say. Each part begins with "@@ NAME"; what it means is decided outside, in check.py.
here=/run/payload
sys=/sys/class/powercap/intel-rapl:0
export WATTQ_SOCKET=/run/w/sock

part() { printf '\n@@ %s\n' "$1"; }

# set REGISTER of the INA chip at ADDRESS, which is big-endian on the wire
ina() { i2cset -f -y "$bus" "$1" "$2" "$(printf '0x%04x' $((($3 & 255) << 8 | $3 >> 8)))" w; }

load_meters()
{
    modprobe i2c-dev
    modprobe i2c-stub chip_addr=0x40,0x58
    bus=$(grep -l "SMBus stub" /sys/class/i2c-adapter/*/name | sed 's,.*i2c-\([0-9]*\)/name,\1,')
    # INA226 with the driver's 10 mOhm shunt: 6.25 mW for each bit of power register 3; 0x0c80 = 20 W
    ina 0x40 0xfe 0x5449; ina 0x40 0xff 0x2260; ina 0x40 0 0x4127; ina 0x40 3 0x0c80; ina 0x40 2 0x2580
    insmod $here/ina2xx.ko
    echo ina226 0x40 >"/sys/bus/i2c/devices/i2c-$bus/new_device"
    insmod $here/pmbus_core.ko
    insmod $here/lm25066.ko
    for register in 0x97 0x88 0x89 0x8b 0xd1; do i2cset -f -y "$bus" 0x58 $register 0x0200 w; done
    i2cset -f -y "$bus" 0x58 0x20 0x40 b; i2cset -f -y "$bus" 0x58 0x98 0x11 b
    i2cset -f -y "$bus" 0x58 0x19 0x30 b; i2cset -f -y "$bus" 0x58 0x78 0 b; i2cset -f -y "$bus" 0x58 0x79 0 w
    echo lm25066 0x58 >"/sys/bus/i2c/devices/i2c-$bus/new_device"
    insmod $here/fake_powercap.ko watts=200 max_uj=2000000000
    insmod $here/fake_powerpmu.ko watts=200
    modprobe ipmi_si
    modprobe ipmi_devintf
    for ((i = 0; i < 30; i++)); do [[ -e /dev/ipmi0 ]] && break; sleep 1; done
}

as() # UID NAME COMMAND...
{
    local uid=$1 name=$2
    shift 2
    WATTQ_SOCKET=/run/$name/sock HOME=/run/$name setpriv --reuid="$uid" --regid="$uid" --clear-groups "$@"
}

start() # UID NAME
{
    mkdir -p "/run/$2" && chmod 700 "/run/$2" && chown "$1:$1" "/run/$2"
    HOME=/run/$2 setpriv --reuid="$1" --regid="$1" --clear-groups $here/wattqd --state-dir "/run/$2/s" \
        --runtime-dir "/run/$2" --socket "/run/$2/sock" --config /dev/null >"/run/$2/log" 2>&1 &
    pid=$!
    for ((i = 0; i < 300; i++)); do
        as "$1" "$2" $here/wattq info -q >/dev/null 2>&1 && return
        sleep 0.1
    done
    cat "/run/$2/log"
    return 1
}

meters() { as "$(stat -c %u "/run/$1")" "$1" $here/wattq meters --json; }

part versions; uname -r; grep -m 1 vendor_id /proc/cpuinfo
part load; load_meters; ls -l /dev/ipmi* $sys/energy_uj /sys/class/hwmon
dmesg | tail -n 5
for h in /sys/class/hwmon/hwmon*; do echo "$(cat "$h/name") $(grep -H . "$h"/power*_input)"; done
part start; start 0 w || exit 1; cat /run/w/log
sleep 3
part run; $here/wattq run --label known -- sleep 25; $here/wattq wait 1; $here/wattq show 1
part energy; $here/wattq energy 1 --json
part meters; meters w
part unload; rmmod fake_powercap; echo "rc=$?"; sleep 2
part gone; meters w
insmod $here/fake_powercap.ko watts=200 max_uj=2000000000
for ((i = 0; i < 30; i++)); do
    sleep 1
    meters w >/run/back
    grep -A40 '"powercap/intel-rapl:0/package-0"' /run/back | grep -q '"state": "ok"' && break
done
part back; cat /run/back
part after; $here/wattq run --label again -- sleep 5; $here/wattq wait 2; $here/wattq energy 2 --json
part log; cat /run/w/log
kill $pid; wait $pid
part restart; start 0 w; sleep 3; meters w
kill $pid; wait $pid
part nobody; start 65534 n; sleep 1; meters n; kill $pid; wait $pid
part end
