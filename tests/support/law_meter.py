"""A power meter whose energy obeys a known law of what is being trained: the truth for end-to-end tests of the
energy model.

It is a tree like the kernel's powercap class with one package counter, advanced by a thread. While a run of
wattq-train is in phase `train` the counter shows

    idle + active + (op x operations + sum over levels byte[L] x bytes that live at L) / seconds per step

so that a step costs active x its seconds and a fixed number of joules more, whatever else the machine does; the steps
are those the trainer tells in its metrics lines. The network's operations and bytes are computed here, from the
study's formulas and not by the code under test.
"""
import contextlib
import json
import os
import threading
import time

IDLE_W = 40.0
ACTIVE_W = 12.0
OP_J = 6e-10
BYTE_J = (4e-10, 1.2e-9, 4e-9, 4e-9)  # the level the set lives in: L1, L2, L3, memory


def boot_s():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e9


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read().strip()


def caches():
    """Bytes of every data cache of the first CPU, nearest first, and of memory."""
    found = []
    base = "/sys/devices/system/cpu/cpu0/cache"
    for index in sorted(os.listdir(base)) if os.path.isdir(base) else []:
        d = os.path.join(base, index)
        if index.startswith("index") and read(d + "/type") in ("Data", "Unified"):
            size = read(d + "/size")
            found.append((int(read(d + "/level")), int(size[:-1]) * {"K": 1 << 10, "M": 1 << 20}[size[-1]]))
    with open("/proc/meminfo", encoding="ascii") as f:
        memory = int(f.readline().split()[1]) << 10
    return [b for _, b in sorted(found)] + [memory]


def place(levels, occupied, need):
    """Level that holds `need` bytes on top of `occupied`, and what is occupied then. One thread: no copies."""
    capacity = 0
    for k, size in enumerate(levels):
        capacity += size
        if capacity <= occupied:
            continue
        if occupied + need <= capacity:
            return k, occupied + need
        occupied = capacity
    return len(levels) - 1, occupied


def step(info, levels):
    """Operations and bytes per level of one training step of a network, as wattq-train describes it."""
    widths = [info["inputs"], *info["widths"]]
    pairs = list(zip(widths, widths[1:]))
    params = sum((a + 1) * b for a, b in pairs)
    batches = -(-info["rows_train"] // info["batch"])
    rows = info["rows_train"] / batches
    forward = rows * sum(a * b + b for a, b in pairs)
    backward = rows * sum(2 * b + a * b + (a * b if i else 0) for i, (a, b) in enumerate(pairs)) + params * (1 + rows)
    moved = [0.0] * len(levels)
    batch, number = info["batch"], 4
    layers = [number * batch * (a + b) for a, b in pairs]
    occupied = 0
    for bytes_ in layers:
        k, above = place(levels, 0, bytes_)
        moved[k] += bytes_ * rows / batch
        occupied = max(occupied, above)
    k, _ = place(levels, occupied, number * params)
    moved[k] += number * params
    whole = 4 * number * params + number * batch * sum(widths) - max(layers)
    k, occupied = place(levels, occupied, whole)
    moved[k] += whole
    return forward + backward, moved


def step_joules(info, levels):
    operations, moved = step(info, levels)
    costs = list(BYTE_J[:len(levels) - 1]) + [BYTE_J[3]]
    return OP_J * operations + sum(c * m for c, m in zip(costs, moved))


class Run:
    """What one metrics file says, read as it grows; between its lines steps are told by the CPU time of the trainer,
    which goes on evenly whoever else uses the machine."""

    def __init__(self, directory, levels):
        self.dir, self.levels = directory, levels
        self.at = 0
        self.begin = self.end = None
        self.joules = self.batches = 0
        self.steps = 0  # until the newest line
        self.cpu_line = self.cpu_now = 0.0
        self.loop = 1.0  # seconds in training and testing per second of training: tests draw the same power
        self.pid = None
        self.shown = 0.0
        self.done = False

    def poll(self):
        self.cpu_now = self.cpu()
        with open(os.path.join(self.dir, "metrics"), "rb") as f:
            f.seek(self.at)
            data = f.read()
        whole = data[:data.rfind(b"\n") + 1]
        self.at += len(whole)
        for line in whole.splitlines():
            self.take(json.loads(line))

    def cpu(self):
        try:
            if self.pid is None:
                with open(os.path.join(self.dir, "shepherd"), encoding="ascii") as f:
                    self.pid = int(dict(x.strip().split("=", 1) for x in f if "=" in x)["main_pid"])
            return int(read(f"/proc/{self.pid}/schedstat").split()[0]) / 1e9 if self.pid else 0.0
        except (OSError, KeyError, IndexError, ValueError):
            return self.cpu_now  # it has ended

    def take(self, line):
        if "info" in line:
            self.joules = step_joules(line["info"], self.levels)
            self.batches = -(-line["info"]["rows_train"] // line["info"]["batch"])
            self.rows = line["info"]["rows_train"]
        elif line.get("phase") == "train" and self.begin is None:
            self.begin = line["t_boot_ns"] / 1e9
            self.cpu_begin = self.cpu_now
        elif "phase" in line and line["phase"] is None:
            self.end = line["t_boot_ns"] / 1e9
        elif "epoch" in line:
            self.steps = line["epoch"] * self.batches
            self.loop = 1 + line["test_ns"] / line["train_ns"]
            self.cpu_line = self.cpu_now - self.cpu_begin
        self.done = self.done or "summary" in line
        if "summary" in line:
            self.steps = line["summary"]["rows_train_seen"] / self.rows * self.batches

    def energy(self, now):
        """Joules above idle so far."""
        if self.begin is None or self.steps == 0:
            return 0
        steps = self.steps
        if self.cpu_line > 0 and not self.done:
            steps *= max(1, (self.cpu_now - self.cpu_begin) / self.cpu_line)
        seconds = max(0, (self.end or now) - self.begin)
        self.shown = max(self.shown, seconds * ACTIVE_W + self.joules * steps * self.loop)
        return self.shown


class Meter(threading.Thread):
    def __init__(self, root, runs_dir):
        super().__init__(daemon=True)
        zone = os.path.join(root, "sys/class/powercap/intel-rapl:0")
        os.makedirs(zone)
        for name, text in (("name", "package-0"), ("max_energy_range_uj", "262143328850"), ("energy_uj", "0"),
                           ("constraint_0_max_power_uw", "200000000")):
            with open(os.path.join(zone, name), "w", encoding="ascii") as f:
                f.write(text + "\n")
        self.fd = os.open(os.path.join(zone, "energy_uj"), os.O_WRONLY)
        self.runs_dir = runs_dir
        self.levels = caches()
        self.runs, self.over = {}, set()
        self.paid = 0.0  # joules of runs that are over
        self.shown = 0
        self.start_s = boot_s()
        self.stopping = threading.Event()

    def look(self):
        for name in os.listdir(self.runs_dir) if os.path.isdir(self.runs_dir) else []:
            directory = os.path.join(self.runs_dir, name)
            if name not in self.runs and name not in self.over and os.path.exists(directory + "/metrics"):
                self.runs[name] = Run(directory, self.levels)
        for name, r in list(self.runs.items()):
            try:
                r.poll()
            except FileNotFoundError:
                r.done = True
            if r.done:
                self.paid += r.energy(boot_s())
                self.over.add(name)
                del self.runs[name]

    def run(self):
        with contextlib.suppress(OSError):  # a counter does not wait for its turn
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
        while not self.stopping.is_set():
            self.look()
            now = boot_s()
            joules = IDLE_W * (now - self.start_s) + self.paid + sum(r.energy(now) for r in self.runs.values())
            self.shown = max(self.shown, int(joules * 1e6))
            os.pwrite(self.fd, f"{self.shown}\n".encode(), 0)
            self.stopping.wait(0.002)

    def stop(self):
        self.stopping.set()
        self.join()
        os.close(self.fd)
