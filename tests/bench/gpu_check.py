#!/usr/bin/env python3
"""Everything to be known of the GPU backend on a card, in one command, from a release build:

    python3 tests/bench/gpu_check.py [--build DIR] [--python PYTHON_WITH_TORCH] [--quick]

Runs the device's tests, those again under compute-sanitizer where there is one, then one training step of a
range of networks on the card beside OpenBLAS on one core and, where torch sees the card, beside PyTorch eager.
Prints a table in Markdown, headed by the card's name, ready for docs/trainer.md. Exit 77 without a card."""
import argparse
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
p = argparse.ArgumentParser()
p.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"))
p.add_argument("--python", default=sys.executable)
p.add_argument("--peer", default=os.path.join(HERE, "..", "..", "..", "shared", "bench", "peer_torch.py"))
p.add_argument("--quick", action="store_true", help="tests and two sizes")
a = p.parse_args()
TRAIN = os.path.join(a.build, "daemon", "wattq-train")
TEST = os.path.join(a.build, "tests", "test_train_cuda")
STEPS = os.path.join(a.build, "tests", "bench_train_steps")
# inputs, hidden, outputs: about 2^8, 2^11, 2^14, 2^17, 2^20, 2^22, 2^25 parameters at depth 4
NETS = ["32,5,5,5,10", "32,23,23,23,10", "32,80,80,80,10", "32,245,245,245,10", "32,713,713,713,10",
        "32,1437,1437,1437,10", "32,4085,4085,4085,10"]


def step_us(cmd):
    r = subprocess.run(cmd, capture_output=True, text=True)
    try:
        return json.loads(r.stdout.strip().splitlines()[-1])["step_us"] if r.returncode == 0 else None
    except (IndexError, KeyError, ValueError):
        return None


def show(value):
    return f"{value:.1f}" if value else "-"


def main():
    answer = subprocess.run([TRAIN, "--backends"], capture_output=True, text=True, check=True)
    cuda = json.loads(answer.stdout)["backends"].get("cuda")
    if not cuda or not cuda["usable"]:
        print("no GPU is used here:", cuda["reason"] if cuda else "wattq-train was built without CUDA")
        return 77
    print(f"## {cuda['device_name']} (sm {cuda['device_capability']}, {cuda['device_sm_count']} SMs, driver "
          f"{cuda['device_driver_version']}, runtime {cuda['device_runtime_version']}, cublasLt "
          f"{cuda['device_cublaslt_version']})\n", flush=True)
    failed = subprocess.run([TEST]).returncode
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer:
        failed |= subprocess.run([sanitizer, "--error-exitcode", "1", "--leak-check", "full", TEST]).returncode
    else:
        print("compute-sanitizer is not installed: memory errors on the card were not looked for")
    torch = os.path.exists(a.peer) and subprocess.run(
        [a.python, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"],
        capture_output=True).returncode == 0
    print("\n| layers | cuda us/step | openblas us/step | torch eager us/step | torch / cuda |\n|---|---|---|---|---|")
    for net in NETS[1:3] if a.quick else NETS:
        gpu, cpu = step_us([STEPS, net, "cuda"]), step_us([STEPS, net, "openblas"])
        peer = step_us([a.python, a.peer, "--layers", net, "--device", "cuda"]) if torch else None
        failed |= gpu is None
        print(f"| {net} | {show(gpu)} | {show(cpu)} | {show(peer)} | {show(peer / gpu if peer and gpu else None)} |",
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
