#!/usr/bin/python3
"""check.py OUTPUT: what the guest printed against what is known of its meters. One line per check."""
import json
import sys

WATTS = {  # label or source -> (watts, tolerance): counters to 1 %, readings of a staircase of seconds to 5 %
    "perf/power/energy-pkg/package-0": (200, 0.01),
    "perf/power/energy-ram/package-0": (50, 0.01),
    "powercap/intel-rapl:0/package-0": (200, 0.01),
    "powercap/intel-rapl:0:0/package-0/dram": (50, 0.01),
    "ipmi/dcmi/power": (250, 0.05),
}
bad = 0


def check(ok, text):
    global bad
    bad += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {text}")


def parts(text):
    found, name = {}, None
    for line in text.replace("\r", "").split("\n"):
        if line.startswith("@@ "):
            name = line[3:].strip()
            found[name] = []
        elif name:
            found[name].append(line)
    return {k: "\n".join(v) for k, v in found.items()}


def data(part):
    """The JSON document in a part, whatever stands around it; {} when there is none."""
    start = part.find("{")
    try:
        return json.JSONDecoder().raw_decode(part[start:])[0] if start >= 0 else {}
    except ValueError:
        return {}


def channels(part):
    return {c["uid"]: c for c in data(part).get("channels", [])}


def figures(part, ids):
    window = data(part).get("window")
    seconds = (int(window["t1_ns"]) - int(window["t0_ns"])) / 1e9 if window else 0
    by = {f["channel"]: f for f in data(part).get("figures", []) if f["part"] == "window" and f["figure"] == "machine"}
    return seconds, {uid: by.get(n) for uid, n in ids.items()}, by.get(None)


def energies(p):
    meters = channels(p.get("meters", ""))
    ids = {uid: c["channel"] for uid, c in meters.items()}
    seconds, found, total = figures(p.get("energy", ""), ids)
    known = dict(WATTS)
    for uid, c in meters.items():
        if c["source"] == "hwmon" and "ina226" in uid:
            known[uid] = (20, 0.01)
    check(any("ina226" in u for u in meters), "hwmon: the ina226 is found")
    check(any("lm25066" in u for u in meters), "hwmon: the lm25066 is found")
    for uid, (watts, part) in known.items():
        f = found.get(uid)
        if not f or f.get("energy_j") is None:
            check(False, f"{uid}: no energy ({f and f.get('reason')}, {meters.get(uid, {}).get('state')})")
            continue
        covered = int(f["covered_ns"]) / 1e9
        off = f["energy_j"] / (watts * covered) - 1
        check(abs(off) <= part, f"{uid}: {f['energy_j']:.3f} J in {seconds:.2f} s at {watts} W, "
                                f"{off:+.3%} off, {covered / seconds:.1%} covered")
        check(covered >= 0.9 * seconds, f"{uid}: at least nine tenths of the run are covered")
        if f.get("lo_j") is not None:
            truth = watts * seconds
            check(f["lo_j"] <= truth * 1.0001 and f["hi_j"] >= truth * 0.9999,
                  f"{uid}: bounds {f['lo_j']:.3f} .. {f['hi_j']:.3f} J hold {truth:.3f} J")
        if uid.startswith("powercap"):
            check("reset" not in f["flags"] and int(f["unknown_ns"]) == 0,
                  f"{uid}: nothing lost over {watts * seconds / 2000:.1f} ranges")
    if total and total.get("energy_j") is not None:
        node = 250 * int(total["covered_ns"]) / 1e9
        check(abs(total["energy_j"] / node - 1) <= 0.05, f"total: {total['energy_j']:.1f} J, the BMC's, "
              "not the sum of what lies in it")
    else:
        check(False, "total: none")
    bmc = meters.get("ipmi/dcmi/power", {})
    check("BMC" in str(bmc.get("firmware", "BMC")), f"ipmi: firmware {bmc.get('firmware', '(not shown)')}")


def unplugged(p):
    uid = "powercap/intel-rapl:0/package-0"
    gone = channels(p.get("gone", "")).get(uid, {})
    back = channels(p.get("back", "")).get(uid, {})
    check("rc=0" in p.get("unload", ""), "powercap: the module can be unloaded under the daemon")
    check(gone.get("state") == "gone", f"powercap: without its driver {gone.get('state')!r}")
    check(back.get("state") == "ok", f"powercap: with its driver back {back.get('state')!r}")
    seconds, found, _ = figures(p.get("after", ""), {uid: back.get("channel")})
    joules = (found[uid] or {}).get("energy_j") or 0
    check(seconds > 0 and abs(joules / (200 * seconds) - 1) <= 0.02,
          f"powercap: {joules:.2f} J in {seconds:.2f} s at 200 W once it is back")


def denied(p):
    meters = channels(p.get("nobody", ""))
    for uid, word in (("powercap/intel-rapl:0/package-0", "wattq meters allow"),
                      ("perf/power/energy-pkg/package-0", "cap_perfmon"),
                      ("ipmi/dcmi/power", "/dev/ipmi0")):
        c = meters.get(uid, {})
        check(c.get("state") == "no_permission" and word in (c.get("remedy") or ""),
              f"an ordinary user, {uid}: {c.get('state')}, {c.get('remedy')!r}")
    ina = [c for u, c in meters.items() if "ina226" in u]
    check(bool(ina) and ina[0]["state"] == "ok", "an ordinary user reads the ina226")


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as f:
        p = parts(f.read())
    check("end" in p, "the guest came to its end")
    energies(p)
    unplugged(p)
    restarted = channels(p.get("restart", ""))
    check(restarted.get("perf/power/energy-pkg/package-0", {}).get("state") == "ok", "perf answers after a restart")
    denied(p)
    print(f"{bad} checks failed" if bad else "all checks passed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
