#!/usr/bin/env python3
"""One network of the study on one data set, trained by PyTorch: the control for wattq-train's runs of the same point.

    wattq sweep -p size=2^8,2^11,2^14 -p depth=2,4,8 -r 3 -- \\
        python3 torch_control.py --dataset /data/adult.tsv.gz --size {size} --depth {depth} --max-seconds 60
    wattq train --dataset /data/adult.tsv.gz --size 2^11 --depth 4 --max-seconds 60      # its counterpart

Needs numpy and torch, nothing of wattq: encoding, split and width search are written anew here from docs/trainer.md,
so that an error in one shows as a difference. The same lines go to $WATTQ_METRICS as from wattq-train (info, phase,
epoch, summary), with backend "torch", so that the analysis finds both. What differs on purpose: the split and the
initial weights come from numpy's and torch's generators, and Adam's epsilon stands where torch puts it.
Exit codes: 0 done, 1 failed, 2 usage, 143 and 130 after SIGTERM and SIGINT."""
import time

START_NS = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

import argparse  # noqa: E402
import csv  # noqa: E402
import gzip  # noqa: E402
import json  # noqa: E402
import math  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

import numpy as np  # noqa: E402

SHAPES = ("rectangle", "trapezoid", "exponential", "wide_first_2x", "wide_first_4x", "wide_first_8x",
          "wide_first_16x", "rectangle_residual")
ONE_HOT = 20  # most distinct numbers that are still one-hot encoded
MARKED_NS, METRIC_NS = 50_000_000, 250_000_000
# The study regressed on these two class targets: name -> (encoded inputs, outputs).
REGRESSED = {"banana": (2, 1), "294_satellite_image": (36, 6)}


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def count(text):
    """4096, 2^14, 64Ki, 10k."""
    power = re.fullmatch(r"(\d+)\^(\d+)", text)
    if power:
        return int(power[1]) ** int(power[2])
    plain = re.fullmatch(r"(\d+)(|k|M|Ki|Mi)", text)
    if not plain:
        raise argparse.ArgumentTypeError(f"'{text}' is no number; write 4096, 2^14 or 64Ki")
    return int(plain[1]) * {"": 1, "k": 1000, "M": 10**6, "Ki": 1 << 10, "Mi": 1 << 20}[plain[2]]


def options():
    p = argparse.ArgumentParser(description="Train one network of the study with PyTorch.")
    p.add_argument("--dataset", required=True, metavar="FILE", help="PMLB .tsv[.gz] or .csv[.gz]")
    p.add_argument("--target", metavar="COLUMN", help="default 'target' in a .tsv, the last one in a .csv")
    p.add_argument("--shape", default="rectangle", choices=SHAPES)
    p.add_argument("--depth", type=int, default=4, help="dense layers, output included [4]")
    p.add_argument("--size", type=count, required=True, help="parameters wanted, within 20 %%; also 2^14, 64Ki")
    p.add_argument("--batch", type=count, default=256)
    p.add_argument("--epochs", type=count, default=30)
    p.add_argument("--lr", type=float, default=1e-4)
    p.add_argument("--eps", type=float, default=1e-7)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1, help="of the CPU [1]")
    p.add_argument("--max-seconds", type=float, default=0, help="stop after that long, at the next batch")
    p.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    p.add_argument("--describe", action="store_true", help="print the network as JSON; needs no torch")
    a = p.parse_args()
    if not 2 <= a.depth <= 64:
        p.error("--depth is from 2 to 64")
    if min(a.size, a.batch, a.epochs, a.threads) < 1:
        p.error("--size, --batch, --epochs and --threads are at least 1")
    return a


# ---- data --------------------------------------------------------------------------------------------

def read_table(path):
    """Column names, and one list of texts per column."""
    base = os.path.basename(path)
    opener = gzip.open if base.endswith(".gz") else open
    comma = re.search(r"\.csv(\.gz)?$", base) is not None
    with opener(path, "rt", newline="") as f:
        rows = csv.reader(f, delimiter="," if comma else "\t", quoting=csv.QUOTE_MINIMAL if comma else csv.QUOTE_NONE)
        names = next(rows)
        table = [row for row in rows if row]
    for i, row in enumerate(table):
        if len(row) != len(names) or "" in row:
            sys.exit(f"torch_control: {base}: row {i + 1} has not {len(names)} values")
    return re.sub(r"(\.tsv|\.csv)?(\.gz)?$", "", base), comma, names, list(map(list, zip(*table)))


def column(texts):
    """As numbers if all of them are; else ranks of the sorted texts. (values, is text)"""
    try:
        values = np.array(texts, dtype=np.float64)
    except ValueError:
        return np.unique(texts, return_inverse=True)[1].astype(np.float64), True
    if not np.isfinite(values).all():
        sys.exit("torch_control: the data set holds a number that is not finite")
    return values, False


def encode(values, text):
    """([rows][k] of float32, what it became)"""
    kinds, rank = np.unique(values, return_inverse=True)
    if len(kinds) <= 1:
        return np.zeros((len(values), 0), np.float32), "dropped"
    if len(kinds) == 2:
        return (values == values[0]).astype(np.float32)[:, None], "two"
    if len(kinds) <= ONE_HOT or text:
        return np.eye(len(kinds), dtype=np.float32)[rank], "one-hot"
    return ((values - kinds[0]) / (kinds[-1] - kinds[0])).astype(np.float32)[:, None], "min-max"


def load(a):
    """x, y and what is known of them; test rows are the last n_test."""
    name, comma, names, columns = read_table(a.dataset)
    target = a.target or (names[-1] if comma else "target")
    if target not in names:
        sys.exit(f"torch_control: {name} has no column '{target}'; name one with --target")
    at = names.index(target)
    features = [column(c) for i, c in enumerate(columns) if i != at]
    if name == "mnist":  # the study scaled these by 255 and dropped nothing
        x = np.stack([v / 255 for v, _ in features], axis=1).astype(np.float32)
    else:
        x = np.concatenate([encode(*f)[0] for f in features], axis=1)
    y, kind = encode(*column(columns[at]))
    if kind == "dropped" or x.shape[1] == 0:
        sys.exit(f"torch_control: there is nothing to learn in {name}")
    loss = {"two": "bce", "one-hot": "cce", "min-max": "mse"}[kind]
    if REGRESSED.get(name) == (x.shape[1], y.shape[1]):
        loss = "mse"
    rows = len(y)
    order = np.random.default_rng(a.seed).permutation(rows)  # once: every epoch has the same batches
    test = -(-rows // 5)
    about = {"dataset": name, "standin": False, "rows_train": rows - test, "rows_test": test,
             "raw_features": len(names) - 1, "inputs": x.shape[1], "outputs": y.shape[1],
             "classes": {"two": 2, "one-hot": y.shape[1], "min-max": 0}[kind], "loss": loss,
             "output_activation": "softmax" if loss == "cce" else "sigmoid"}
    return x[order], y[order], about


# ---- network -----------------------------------------------------------------------------------------

def widths(shape, depth, outputs, w):
    last = depth - 1
    if shape == "trapezoid":
        hidden = [round(w - (w - outputs) / last * k) for k in range(last)]
    elif shape == "exponential":
        factor = math.exp(math.log(outputs / w) / last)
        hidden = [max(outputs, round(w * factor**k)) for k in range(last)]
    elif shape.startswith("wide_first_"):
        narrow = int(shape[len("wide_first_"):-1])
        hidden = [w] + [max(1, round(w / narrow))] * (last - 1)
    else:
        hidden = [w] * last
    return hidden + [outputs]


def parameters(inputs, ws):
    return sum((i + 1) * o for i, o in zip([inputs] + ws[:-1], ws))


def search(shape, depth, inputs, outputs, size):
    """Bisection over the first layer's width; of equally near networks the first visited."""
    low, high, best = 1, 1 << 30, None
    while low < high:
        middle = (low + high) // 2
        ws = widths(shape, depth, outputs, middle)
        off = parameters(inputs, ws) - size
        if best is None or abs(off) < best[0]:
            best = (abs(off), ws)
        if off == 0:
            break
        low, high = (middle + 1, high) if off < 0 else (low, middle)
    if best[0] > size // 5:
        sys.exit(f"torch_control: no width of {shape} at depth {depth} reaches {size} parameters within 20 %: "
                 f"the nearest network has {parameters(inputs, best[1])}")
    return best[1]


class Network:
    """ReLU between the layers; with skip a layer's input is added after its activation, from the second to the
    last hidden one. Glorot uniform weights, zero biases."""

    def __init__(self, torch, inputs, ws, skip, device):
        self.torch, self.skip = torch, skip
        self.layers = []
        for i, o in zip([inputs] + ws[:-1], ws):
            weight = torch.empty(o, i)
            torch.nn.init.xavier_uniform_(weight)
            self.layers.append((weight.to(device).requires_grad_(), torch.zeros(o, device=device, requires_grad=True)))

    def parameters(self):
        return [p for layer in self.layers for p in layer]

    def __call__(self, x):
        last = len(self.layers) - 1
        for k, (weight, bias) in enumerate(self.layers):
            z = self.torch.nn.functional.linear(x, weight, bias)
            if k < last:
                z = z.relu()
                z = z + x if self.skip and k > 0 else z
            x = z
        return x


# ---- training ----------------------------------------------------------------------------------------

class Metrics:
    def __init__(self):
        path = os.environ.get("WATTQ_METRICS")
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640) if path else -1

    def write(self, **line):
        if self.fd >= 0:
            os.write(self.fd, (json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n").encode())


def known(value):
    return value if value is not None and math.isfinite(value) else None


class Run:
    def __init__(self, torch, a, x, y, about, ws):
        self.torch, self.a, self.about, self.metrics = torch, a, about, Metrics()
        self.signal, self.end = 0, "epochs"
        self.x = torch.from_numpy(x).to(a.device)
        self.y = torch.from_numpy(y.argmax(1) if about["loss"] == "cce" else y).to(a.device)
        self.net = Network(torch, about["inputs"], ws, a.shape == "rectangle_residual", a.device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=a.lr, eps=a.eps)
        self.epochs = self.seen = self.train_ns = self.test_ns = self.inside_ns = self.last_test_ns = 0
        self.train_loss = self.test_loss = self.accuracy = self.best = None
        self.written, self.written_ns = 0, 0

    def loss(self, z, y):
        f = self.torch.nn.functional
        if self.about["loss"] == "cce":
            return f.cross_entropy(z, y)
        return f.mse_loss(z.sigmoid(), y) if self.about["loss"] == "mse" else \
            f.binary_cross_entropy_with_logits(z, y)

    def right(self, z, y):
        if self.about["loss"] == "cce":
            return (z.argmax(1) == y).sum()
        if self.about["outputs"] == 1:
            return ((z > 0) == (y > 0.5)).sum()
        return (y.gather(1, z.argmax(1, keepdim=True)) > 0.5).sum()

    def settle(self):
        if self.a.device == "cuda":
            self.torch.cuda.synchronize()

    def may_go_on(self):
        if self.signal:
            self.end = "signal"
        elif self.a.max_seconds and self.seen and now_ns() - self.begin_ns > self.a.max_seconds * 1e9:
            self.end = "max_seconds"
        return self.end == "epochs"

    def train_epoch(self):
        """Mean loss over the rows while the weights move; None when it was stopped."""
        rows, total = self.about["rows_train"], self.torch.zeros((), dtype=self.torch.float64, device=self.a.device)
        for at in range(0, rows, self.a.batch):
            if not self.may_go_on():
                return None
            end = min(at + self.a.batch, rows)
            self.adam.zero_grad(set_to_none=True)
            loss = self.loss(self.net(self.x[at:end]), self.y[at:end])
            loss.backward()
            self.adam.step()
            total += loss.detach() * (end - at)
            self.seen += end - at
        return float(total) / rows

    def test_epoch(self):
        first, rows, loss, right = self.about["rows_train"], self.about["rows_test"], 0, 0
        with self.torch.no_grad():
            for at in range(first, first + rows, self.a.batch):
                end = min(at + self.a.batch, first + rows)
                z = self.net(self.x[at:end])
                loss = loss + self.loss(z, self.y[at:end]).double() * (end - at)
                right = right + self.right(z, self.y[at:end])
        self.test_loss = float(loss) / rows
        self.accuracy = float(right) / rows if self.about["classes"] else None
        self.best = self.test_loss if self.best is None else min(self.best, self.test_loss)

    def write_epoch(self, at_ns):
        line = {"epoch": self.epochs, "t_boot_ns": at_ns, "train_loss": known(self.train_loss),
                "test_loss": known(self.test_loss)}
        if self.about["classes"]:
            line["test_accuracy"] = known(self.accuracy)
        self.metrics.write(**line, train_ns=self.train_ns, test_ns=self.test_ns, test_ns_inside_train=self.inside_ns)
        self.written, self.written_ns = self.epochs, at_ns

    def one_epoch(self):
        t0 = now_ns()
        loss = self.train_epoch()
        self.settle()
        t1 = now_ns()
        self.train_ns += t1 - t0
        if loss is None:
            return
        self.train_loss = loss
        if not math.isfinite(loss):
            self.end = "not_finite"
            return
        marked = t1 - t0 + self.last_test_ns >= MARKED_NS
        if marked:
            self.metrics.write(phase="test", t_boot_ns=t1)
        self.test_epoch()
        t2 = now_ns()
        self.last_test_ns = t2 - t1
        self.test_ns += t2 - t1
        if not marked:
            self.inside_ns += t2 - t1
        elif self.epochs + 1 < self.a.epochs:
            self.metrics.write(phase="train", t_boot_ns=t2)
        self.epochs += 1
        if self.epochs in (1, self.a.epochs) or t2 - self.written_ns >= METRIC_NS:
            self.write_epoch(t2)

    def all_epochs(self, info):
        self.metrics.write(info=info)
        self.metrics.write(phase="setup", t_boot_ns=START_NS)
        self.settle()
        self.begin_ns = now_ns()
        self.metrics.write(phase="train", t_boot_ns=self.begin_ns)
        while self.end == "epochs" and self.epochs < self.a.epochs:
            self.one_epoch()
        at = now_ns()
        self.metrics.write(phase=None, t_boot_ns=at)
        if self.epochs > self.written:
            self.write_epoch(at)
        self.metrics.write(summary={
            "epochs": self.epochs, "rows_train_seen": self.seen, "train_ns": self.train_ns, "test_ns": self.test_ns,
            "test_ns_inside_train": self.inside_ns, "train_loss": known(self.train_loss),
            "test_loss": known(self.test_loss), "test_accuracy": known(self.accuracy),
            "best_test_loss": known(self.best), "end": self.end, "stopped": self.end == "signal"})


def info_of(a, about, ws):
    info = dict(about, shape=a.shape, depth=a.depth, size=a.size, widths=ws, params=parameters(about["inputs"], ws))
    info.update(batch=a.batch, batches_train=-(-about["rows_train"] // a.batch),
                batches_test=-(-about["rows_test"] // a.batch), epochs=a.epochs, epochs_asked=a.epochs, lr=a.lr,
                seed=a.seed, backend="torch", precision="f32", threads=a.threads, eps=a.eps, adam="torch", init="glorot")
    return info


def device_of(torch):
    """The keys that wattq-train has for its card."""
    d = torch.cuda.get_device_properties(0)
    device = {"device_name": d.name, "device_capability": f"{d.major}.{d.minor}",
              "device_sm_count": d.multi_processor_count, "device_memory_bytes": d.total_memory}
    if hasattr(d, "L2_cache_size"):
        device["device_l2_bytes"] = d.L2_cache_size
    if hasattr(d, "uuid"):
        device["device_uuid"] = "GPU-" + str(d.uuid)
    return device


def import_torch(a):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(a.threads)  # read once, when the library starts
    try:
        import torch
    except ImportError:
        sys.exit("torch_control: this Python has no torch; give the one that has: wattq submit -- /path/python3 ...")
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(a.seed)
    if a.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch_control: torch sees no GPU; use --device cpu")
    return torch


def main():
    a = options()
    x, y, about = load(a)
    ws = search(a.shape, a.depth, about["inputs"], about["outputs"], a.size)
    info = info_of(a, about, ws)
    if a.describe:
        print(json.dumps(info))
        return 0
    torch = import_torch(a)
    info.update(version=torch.__version__, isa="cuda" if a.device == "cuda" else torch.backends.cpu.get_cpu_capability())
    info["device"] = a.device
    if a.device == "cuda":
        info.update(device_of(torch))
    run = Run(torch, a, x, y, about, ws)

    def stop(number, _):
        run.signal = number

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    run.all_epochs(info)
    print(f"{about['dataset']}, {a.shape}, depth {a.depth}, {info['params']} parameters: {run.epochs} epochs, "
          f"train {run.train_loss} test {run.test_loss}, ended by {run.end}")
    return 128 + run.signal if run.end == "signal" else 1 if run.end == "not_finite" else 0


if __name__ == "__main__":
    sys.exit(main())
