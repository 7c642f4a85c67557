#!/usr/bin/env python3
"""Makes train_torch.txt: losses of 20 training steps by PyTorch, which unit.test_train_golden compares with
our backends. Run by hand where torch is installed; the test needs none:

    python3 make_train_torch.py > train_torch.txt        (made with torch 2.15.0, CPU)

Data, weights and targets come from splitmix64, which the test repeats in C. Each case is trained in float64
and in float32; a seed for which the two part by more than 3e-7 (a ReLU flipped) is passed over.
Rows: 200 in batches of 64, so the last batch of an epoch has 8 rows.
The softmax and odd_widths cases were also run through the peer benchmark script (peer_torch.py), with equal losses.
Line: name loss adam skip seed layers, then 20 float64 losses, then 20 float32 losses."""
import sys
import torch

ROWS, BATCH, STEPS = 200, 64, 20
LR, EPS = 1e-3, {"torch": 1e-8, "keras": 1e-7}
CASES = [
    ("softmax", "cce", "torch", 0, [8, 16, 16, 5]),
    ("residual", "cce", "torch", 1, [8, 12, 12, 12, 5]),
    ("binary", "bce", "torch", 0, [6, 10, 7, 1]),
    ("regression", "mse", "torch", 0, [6, 9, 5, 1]),
    ("onehot_mse", "mse", "torch", 0, [6, 9, 4]),
    ("keras", "cce", "keras", 0, [7, 11, 3]),
    ("keras_residual_mse", "mse", "keras", 1, [5, 9, 9, 9, 9, 2]),
    ("odd_widths", "cce", "torch", 0, [33, 47, 13, 10]),
    ("wide", "cce", "torch", 0, [20, 70, 66, 4]),
]
MASK = (1 << 64) - 1


def uniform(seed, i):
    """splitmix64 as a function of its index, in [0, 1) with 24 bits: exact in float32."""
    z = (seed * 0x9E3779B97F4A7C15 + (i + 1) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return (z >> 40) / 2**24


def make(seed, loss, layers):
    n = iter(range(1 << 40))
    x = [[uniform(seed, next(n)) for _ in range(layers[0])] for _ in range(ROWS)]
    if loss == "cce":
        y = [int(uniform(seed, next(n)) * layers[-1]) for _ in range(ROWS)]
    else:
        y = [[uniform(seed, next(n)) for _ in range(layers[-1])] for _ in range(ROWS)]
        if loss == "bce":
            y = [[float(v > 0.5) for v in row] for row in y]
    params = []
    for i, o in zip(layers[:-1], layers[1:]):
        # a power of two keeps the product exact in float32
        params.append([[uniform(seed, next(n)) - 0.5 for _ in range(i)] for _ in range(o)])
        params.append([(uniform(seed, next(n)) - 0.5) / 4 for _ in range(o)])
    return x, y, params


def forward(x, p, skip):
    h = x
    depth = len(p) // 2
    for k in range(depth):
        z = h @ p[2 * k].T + p[2 * k + 1]
        if k == depth - 1:
            return z
        r = torch.relu(z)
        h = r + h if skip and k > 0 else r


def loss_of(z, y, loss):
    if loss == "cce":
        return torch.nn.functional.cross_entropy(z, y)
    if loss == "bce":
        return torch.nn.functional.binary_cross_entropy_with_logits(z, y)
    return torch.nn.functional.mse_loss(torch.sigmoid(z), y)


class KerasAdam:
    """tf.raw_ops.ApplyAdam: epsilon outside the bias correction."""

    def __init__(self, params):
        self.p, self.t = params, 0
        self.m = [torch.zeros_like(q) for q in params]
        self.v = [torch.zeros_like(q) for q in params]

    def zero_grad(self, set_to_none=True):
        for q in self.p:
            q.grad = None

    def step(self):
        self.t += 1
        a = LR * (1 - 0.999**self.t) ** 0.5 / (1 - 0.9**self.t)
        with torch.no_grad():
            for q, m, v in zip(self.p, self.m, self.v):
                m += (q.grad - m) * (1 - 0.9)
                v += (q.grad * q.grad - v) * (1 - 0.999)
                q -= a * m / (v.sqrt() + EPS["keras"])


def train(dtype, data, loss, adam, skip):
    x, y, params = data
    x = torch.tensor(x, dtype=dtype)
    y = torch.tensor(y, dtype=torch.int64 if loss == "cce" else dtype)
    p = [torch.tensor(q, dtype=dtype, requires_grad=True) for q in params]
    opt = KerasAdam(p) if adam == "keras" else torch.optim.Adam(p, lr=LR, eps=EPS["torch"])
    out = []
    for s in range(STEPS):
        start = s * BATCH % (4 * BATCH)
        opt.zero_grad(set_to_none=True)
        value = loss_of(forward(x[start:start + BATCH], p, skip), y[start:start + BATCH], loss)
        value.backward()
        opt.step()
        out.append(value.item())
    return out


torch.set_num_threads(1)
print("# made by make_train_torch.py with torch", torch.__version__)
for name, loss, adam, skip, layers in CASES:
    for seed in range(1, 200):
        data = make(seed, loss, layers)
        a = train(torch.float64, data, loss, adam, skip)
        b = train(torch.float32, data, loss, adam, skip)
        if max(abs(u - v) / abs(u) for u, v in zip(a, b)) < 3e-7:
            break
    else:
        sys.exit(f"{name}: no seed without a flip")
    print(name, loss, adam, skip, seed, ",".join(map(str, layers)))
    print(" ".join("%.17g" % v for v in a))
    print(" ".join("%.9g" % v for v in b))
