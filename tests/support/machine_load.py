"""How busy the machine is, for benches that want it idle."""
import time


def cpu_ticks():
    """Of all CPUs since boot: busy, and all."""
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:9]]
    return sum(v) - v[3] - v[4], sum(v)


def busy_for(seconds):
    """Sleeps; the share of all CPUs that was in use meanwhile."""
    busy, total = cpu_ticks()
    time.sleep(seconds)
    now_busy, now = cpu_ticks()
    return (now_busy - busy) / max(1, now - total)
