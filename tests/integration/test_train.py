#!/usr/bin/env python3
"""The program wattq-train itself: exit codes, sentences, metrics file, signals. WATTQ_BIN is the build."""
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

BIN = os.path.join(os.environ.get("WATTQ_BIN", "build"), "daemon", "wattq-train")
DATA = os.environ.get("WATTQ_TEST_DATA", "../shared/data")
ENV = {k: v for k, v in os.environ.items() if not k.startswith("WATTQ_")}
failures = 0


def check(what, ok, detail=""):
    global failures
    if not ok:
        failures += 1
        print("FAILED:", what, detail)


def train(*args, metrics=None):
    env = dict(ENV, WATTQ_METRICS=metrics) if metrics else ENV
    return subprocess.run([BIN, *args], capture_output=True, text=True, env=env, timeout=120)


def lines(path):
    with open(path) as f:
        return [json.loads(line) for line in f]  # every line must be JSON


def test_usage():
    r = train("--help")
    check("help exits 0", r.returncode == 0 and "--dataset" in r.stdout)
    for args in ([], ["--dataset", "standin:adult"], ["--frobnicate"], ["--size", "x"],
                 ["--dataset", "standin:adult", "--size", "64", "--shape", "round"],
                 ["--dataset", "standin:adult", "--layers", "4,2"]):
        r = train(*args)
        check(f"usage {args}", r.returncode == 2 and r.stderr.count("\n") == 1, r.stderr)


def test_bad_input(tmp):
    path = os.path.join(tmp, "t.tsv.gz")
    with gzip.open(path, "wt") as f:
        f.write("a\ttarget\n" + "".join(f"{i * 7 % 101}\t{i % 2}\n" for i in range(500)))
    check("good file", train("--dataset", path, "--size", "64", "--epochs", "1").returncode == 0)
    with open(path, "rb") as f:
        whole = f.read()
    with open(path, "wb") as f:
        f.write(whole[:len(whole) // 2])
    for args, says in ((["--dataset", path], "truncated gzip"),
                       (["--dataset", os.path.join(tmp, "none.tsv")], "there is no file"),
                       (["--dataset", "adult", "--data-dir", tmp], "standin:adult"),
                       (["--dataset", "standin:splice"], "nearest network has 298")):
        r = train(*args, "--size", "32")
        check(f"bad input {args}", r.returncode == 1 and says in r.stderr, r.stderr)
        check("one line, nothing on stdout", r.stderr.count("\n") == 1 and not r.stdout)
    r = train("--dataset", "standin:banana", "--size", "64", metrics=os.path.join(tmp, "no", "m"))
    check("metrics file cannot be made", r.returncode == 1 and "WATTQ_METRICS" in r.stderr, r.stderr)


def test_describe():
    r = train("--dataset", "standin:mnist", "--shape", "trapezoid", "--depth", "6", "--size", "2^20",
              "--describe")
    d = json.loads(r.stdout)
    check("describe", d["widths"] == [596, 479, 362, 244, 127, 10] and d["params"] == 1048550, d)
    check("working set", d["working_set"]["units"] == [784] + d["widths"])


def test_learns(tmp):
    path = os.path.join(tmp, "learn.jsonl")
    r = train("--dataset", "standin:nursery", "--size", "2048", "--epochs", "10", "--lr", "3e-3",
              metrics=path)
    check("learns: exit", r.returncode == 0, r.stderr)
    got = lines(path)
    info, summary = got[0]["info"], got[-1]["summary"]
    epochs = [e for e in got if "epoch" in e]
    check("learns: info", info["standin"] is True and info["rows_train"] == 10366 and info["batches_train"] == 41)
    check("learns: loss falls", epochs[-1]["test_loss"] < 0.7 * epochs[0]["test_loss"], epochs)
    check("learns: accuracy", epochs[-1]["test_accuracy"] > 0.6, epochs[-1])
    check("learns: rows", summary["rows_train_seen"] == 10 * 10366)
    check("learns: marked as stand-in", "stand-in" in r.stdout)


def test_phases(tmp):
    """Epochs of more than 50 ms are marked one by one, and train_ns agrees with the marks."""
    path = os.path.join(tmp, "phases.jsonl")
    r = train("--dataset", "standin:adult", "--size", "262144", "--depth", "2", "--epochs", "2", metrics=path)
    check("phases: exit", r.returncode == 0, r.stderr)
    got = lines(path)
    marks = [(m["phase"], m["t_boot_ns"]) for m in got if "phase" in m]
    check("phases: order", [m[0] for m in marks] == ["setup", "train", "test", "train", "test", None], marks)
    check("phases: rising", all(a[1] <= b[1] for a, b in zip(marks, marks[1:])))
    summary = got[-1]["summary"]
    marked = sum(b[1] - a[1] for a, b in zip(marks, marks[1:]) if a[0] == "train")
    check("phases: train_ns", abs(marked - summary["train_ns"]) < 0.02 * marked, (marked, summary))
    check("phases: tests outside", summary["test_ns_inside_train"] == 0)


def test_auto_phases(tmp):
    """Warm-up, then whole epochs until the steps of phase train have taken the time asked for."""
    path = os.path.join(tmp, "auto.jsonl")
    r = train("--dataset", "standin:adult", "--size", "65536", "--depth", "3", "--epochs", "auto",
              "--min-seconds", "0.4", "--warmup-seconds", "0.2", metrics=path)
    check("auto: exit", r.returncode == 0, r.stderr)
    got = lines(path)
    marks = [(m["phase"], m["t_boot_ns"]) for m in got if "phase" in m]
    summary = got[-1]["summary"]
    check("auto: order", [m[0] for m in marks[:3]] == ["setup", "warmup", "train"], marks)
    warm = marks[2][1] - marks[1][1]
    check("auto: warmup", warm >= 2e8 and summary["warmup_ns"] == warm, (warm, summary))
    marked = sum(b[1] - a[1] for a, b in zip(marks, marks[1:]) if a[0] == "train")
    check("auto: long enough", summary["train_ns"] >= 4e8, summary)
    check("auto: train_ns", abs(marked - summary["test_ns_inside_train"] - summary["train_ns"]) < 0.02 * marked,
          (marked, summary))
    check("auto: end", summary["end"] == "auto" and summary["epochs_asked"] == "auto", summary)


def test_cpus(tmp):
    here = sorted(os.sched_getaffinity(0))
    p = subprocess.Popen([BIN, "--dataset", "standin:banana", "--size", "4096", "--epochs", "100000000", "--cpus",
                          str(here[0])], stdout=subprocess.PIPE, env=ENV)
    p.stdout.readline()
    check("cpus", os.sched_getaffinity(p.pid) == {here[0]}, os.sched_getaffinity(p.pid))
    p.kill()
    p.communicate()
    r = train("--dataset", "standin:banana", "--size", "64", "--cpus", "4095")
    check("cpus: not there", r.returncode == 1 and "cannot run on the CPUs 4095" in r.stderr, r.stderr)
    r = train("--dataset", "standin:banana", "--size", "64", "--cpus", "0-3", "--describe")
    check("cpus: recorded", json.loads(r.stdout)["cpus"] == "0-3", r.stdout)


def test_resctrl(tmp):
    """It writes itself into the group's tasks, or says that it cannot."""
    tasks = os.path.join(tmp, "tasks")
    open(tasks, "w").close()
    path = os.path.join(tmp, "resctrl.jsonl")
    p = subprocess.Popen([BIN, "--dataset", "standin:banana", "--size", "64", "--epochs", "2", "--resctrl", tmp],
                         stdout=subprocess.DEVNULL, env=dict(ENV, WATTQ_METRICS=path))
    check("resctrl: exit", p.wait() == 0)
    with open(tasks) as f:
        check("resctrl: in the group", f.read() == f"{p.pid}\n")
    check("resctrl: recorded", lines(path)[0]["info"]["resctrl"] == tmp)
    os.unlink(path)
    r = train("--dataset", "standin:banana", "--size", "64", "--resctrl", "/nonexistent/group")
    check("resctrl: none", r.returncode == 1 and "cannot enter the resctrl group" in r.stderr, r.stderr)


def test_beside(tmp):
    """Copies train with it, write nothing, and end with it, however it ends."""
    path = os.path.join(tmp, "beside.jsonl")
    p = subprocess.Popen([BIN, "--dataset", "standin:banana", "--size", "4096", "--epochs", "100000000", "--beside",
                          "2"], stdout=subprocess.PIPE, env=dict(ENV, WATTQ_METRICS=path))
    p.stdout.readline()

    def children():
        with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
            return f.read().split()

    copies = children()
    check("beside: copies", len(copies) == 2, copies)
    p.kill()
    p.communicate()
    for _ in range(200):
        if not any(os.path.exists(f"/proc/{c}/cwd") for c in copies):
            break
        time.sleep(0.01)
    check("beside: gone with it", not any(os.path.exists(f"/proc/{c}/cwd") for c in copies))
    os.unlink(path)
    r = train("--dataset", "standin:banana", "--size", "256", "--epochs", "2", "--beside", "1", metrics=path)
    got = lines(path)
    check("beside: exit", r.returncode == 0, r.stderr)
    check("beside: one record", sum("info" in x for x in got) == 1 and got[0]["info"]["beside"] == 1, got)
    alone = os.path.join(tmp, "alone.jsonl")
    train("--dataset", "standin:banana", "--size", "256", "--epochs", "2", metrics=alone)
    check("beside: same losses", lines(alone)[-1]["summary"]["test_loss"] == got[-1]["summary"]["test_loss"])


def stop_with(sig, code, tmp):
    path = os.path.join(tmp, f"sig{int(sig)}.jsonl")
    p = subprocess.Popen([BIN, "--dataset", "standin:banana", "--size", "4096", "--epochs", "100000000"],
                         stdout=subprocess.DEVNULL, env=dict(ENV, WATTQ_METRICS=path))
    for _ in range(1000):
        if os.path.exists(path) and '"epoch":' in open(path).read():
            break
        time.sleep(0.01)
    p.send_signal(sig)
    check(f"signal {sig}", p.wait(timeout=30) == code)
    got = lines(path)
    check("stopped summary", got[-1]["summary"]["stopped"] is True and got[-1]["summary"]["end"] == "signal")
    check("last phase closed", [m for m in got if "phase" in m][-1]["phase"] is None)


def test_real(tmp):
    pmlb = os.path.join(DATA, "pmlb")
    if not os.path.exists(os.path.join(pmlb, "wine_quality_white.tsv.gz")):
        print("no data files at", DATA, "- real data not tried")
        return
    args = ["--dataset", "wine_quality_white", "--data-dir", pmlb, "--size", "1024", "--epochs", "30", "--lr",
            "1e-3"]
    losses = []
    for backend in ("openblas", "reference", "openblas"):
        path = os.path.join(tmp, f"real{len(losses)}.jsonl")
        r = train(*args, "--backend", backend, metrics=path)
        check(f"real: {backend}", r.returncode == 0, r.stderr)
        losses.append(lines(path)[-1]["summary"]["test_loss"])
        check("real: not a stand-in", lines(path)[0]["info"]["standin"] is False)
    check("same backend, same bits", losses[0] == losses[2], losses)
    check("backends agree", abs(losses[0] / losses[1] - 1) < 1e-3 and losses[0] < 1.3, losses)


def main():
    if not os.access(BIN, os.X_OK):
        print("skipped: there is no", BIN)
        return 77
    with tempfile.TemporaryDirectory() as tmp:
        test_usage()
        test_bad_input(tmp)
        test_describe()
        test_learns(tmp)
        test_phases(tmp)
        test_auto_phases(tmp)
        test_cpus(tmp)
        test_beside(tmp)
        test_resctrl(tmp)
        stop_with(signal.SIGTERM, 143, tmp)
        stop_with(signal.SIGINT, 130, tmp)
        test_real(tmp)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
