"""Requests for tests/fuzz/live.py: one valid request per operation of the protocol, and what may be done to it.

    r = Requests(random.Random(seed), "/tmp/place")
    op, body, whole = r.next()      # body: the msgpack of a frame; whole: it is what it should be, every field
    r.learn(reply)                  # ids, tokens, drafts, boots that later requests then name

Fields are changed by their names: what the daemon has once said for a name is the likeliest value of it. Messages are
packed in every way that msgpack has for a value, not in the shortest only."""
import struct

NS = 10**9
EDGES = (-1, 0, 1, 2, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, -2**63, 2**64 - 1,
         NS, 60 * NS, -NS, 10000, 10001)
WORDS = (b"", b"x", b"a b", b"\x00", b"\xff\xfe", b"%s%n%d", b"'; DROP TABLE run; --", "\u00e4\U0001f600\u202e".encode(),
         b"../../etc/passwd", b"/", b"{a}", b"-1", b"nan", b"1e999", b"done", b"ended", b"x" * 100, b"x" * 101, b"y" * 5000,
         b"\n", b"\x1b[2J", b"((((((((", b"energy > 1J", b"a" * 64, b"b" * 65)
FILTERS = ("state=done", "energy > 5J and not (label ~ \"x*\")", "param.a >= 1 or tag.t", "submit > -1h", "id=1..9",
           "metric.train_loss.min < 0.1", "(" * 40 + "id=1" + ")" * 40, "user=root or sweep=1", "time > 1s", "label = \"")
COLUMNS = ("id", "state", "label", "energy", "time", "power", "param.a", "metric.loss.last", "tag.t", "user", "energy.pkg",
           "lo", "hi", "quality", "summary.x", "submit")
# Programs that do no harm whatever their arguments are.
ARGV = (["true"], ["false"], ["echo", "x", "{a}"], ["sleep", "0.05"], ["sleep", "5"], ["printf", "%s"], ["cat"], ["/nowhere"],
        ["env"], ["yes"], ["head", "-c", "3000000", "/dev/zero"])
IMPORT = {
    "boot": ("id boot_id machine", [1, "00000000-0000-0000-0000-000000000001", 1]),
    "machine": ("id hash facts", [1, "ab" * 32, "{}"]),
    "run": ("id uuid state kind spec label project mode code boot submitted_utc_ns started_utc_ns ended_utc_ns t0_ns "
            "main_exit_ns t1_ns exit_code term_signal reason cpu_us cpu_basis maxrss_bytes leftovers machine_start machine_end",
            [1, "00000000-0000-0000-0000-0000000000%02x", "done", "command", "{}", "l", "p", "user", None, 1, NS, 2 * NS, 3 * NS,
             10, 20, 20, 0, None, "", 5, "proc", 1000, 0, None, None]),
    "run_param": ("run key type value", [1, "a", "int", "3"]),
    "metric": ("run seq step key value t_ns stamp", [1, 1, 1, "loss", 0.5, 15, "mark"]),
    "tag": ("run tag", [1, "t"]),
    "note": ("run utc_ns text", [1, NS, "words"]),
}
# What makes sense after what, on the same connection.
FOLLOW = {"sweep_begin": ("sweep_rows",), "sweep_rows": ("sweep_rows", "sweep_commit"), "import_begin": ("import_rows",),
          "import_rows": ("import_rows", "import_commit"), "pause": ("resume",), "hold": ("release",), "exec_begin": ("exec_ready", "exec_abort"),
          "submit": ("hold", "pause", "logs", "show"), "warrants": ("submit",)}


class Text(bytes):
    """Packed as a string, UTF-8 or not."""


class Pairs(list):
    """Packed as a map: keys may come twice, and need not be strings."""


def head(rng, n, fix, sizes):
    """How many bytes or items follow, in one of the ways that can say it."""
    ways = [(tag, form) for tag, form, most in sizes if n <= most]
    if fix and n <= fix[1] and (not ways or rng.random() < 0.5):
        return bytes([fix[0] | n])
    tag, form = rng.choice(ways)
    return bytes([tag]) + struct.pack(form, n)


def pack_int(rng, v):
    ways = [(0xD0, ">b", -2**7, 2**7), (0xD1, ">h", -2**15, 2**15), (0xD2, ">i", -2**31, 2**31), (0xD3, ">q", -2**63, 2**63),
            (0xCC, ">B", 0, 2**8), (0xCD, ">H", 0, 2**16), (0xCE, ">I", 0, 2**32), (0xCF, ">Q", 0, 2**64)]
    fits = [w for w in ways if w[2] <= v < w[3]]
    if -32 <= v < 128 and rng.random() < 0.5:
        return struct.pack("b", v)
    tag, form, _, _ = rng.choice(fits)
    return bytes([tag]) + struct.pack(form, v)


SIZES = {"str": ((0xD9, ">B", 255), (0xDA, ">H", 65535), (0xDB, ">I", 2**32 - 1)),
         "bin": ((0xC4, ">B", 255), (0xC5, ">H", 65535), (0xC6, ">I", 2**32 - 1)),
         "list": ((0xDC, ">H", 65535), (0xDD, ">I", 2**32 - 1)), "map": ((0xDE, ">H", 65535), (0xDF, ">I", 2**32 - 1))}


def pack(rng, v):
    if v is None or isinstance(v, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[v]
    if isinstance(v, int):
        return pack_int(rng, v)
    if isinstance(v, float):
        return b"\xcb" + struct.pack(">d", v) if rng.random() < 0.8 else b"\xca" + struct.pack(">f", 0.5)
    if isinstance(v, str):
        v = Text(v.encode())
    if isinstance(v, Text):
        return head(rng, len(v), (0xA0, 31), SIZES["str"]) + v
    if isinstance(v, bytes):
        return head(rng, len(v), None, SIZES["bin"]) + v
    if isinstance(v, (dict, Pairs)):
        items = list(v.items()) if isinstance(v, dict) else v
        return head(rng, len(items), (0x80, 15), SIZES["map"]) + b"".join(pack(rng, x) for kv in items for x in kv)
    return head(rng, len(v), (0x90, 15), SIZES["list"]) + b"".join(pack(rng, x) for x in v)


class Requests:
    def __init__(self, rng, place):
        self.rng, self.place = rng, place
        self.known = {"run": [1], "sweep": [1], "channel": [1, 2], "boot": [1], "draft": [1], "token": [1], "label": ["pkg", "dram"]}
        self.last_id = 0
        self.last_op = ""

    # ---- valid ones -------------------------------------------------------------------------------

    def some(self, name):
        """The newest as often as any other."""
        values = self.known.get(name)
        return self.rng.choice((values[-1], self.rng.choice(values))) if values else None

    def runs(self):
        return [self.some("run") for _ in range(self.rng.choice((1, 1, 1, 2, 5)))]

    def window(self):
        """A stretch of time, in one of the ways to name one."""
        t = self.some("t_ns") or NS
        utc = self.some("submitted_utc_ns") or NS
        return self.rng.choice(({"run": self.some("run")}, {"boot": self.some("boot"), "t0_ns": t - 5 * NS, "t1_ns": t},
                                {"since_utc_ns": utc}, {"since_utc_ns": utc - 60 * NS, "until_utc_ns": utc + NS}))

    def run(self, **more):
        rng = self.rng
        run = {"argv": list(rng.choice(ARGV)), "cwd": rng.choice((self.place, self.place, "/")),
               "env": ["PATH=/usr/bin:/bin", "A=b"], **more}
        for key, values in {"label": ("x", "\u00e4"), "project": ("p",), "exclusive": (False, True), "hold": (True,),
                            "stdin": ("/dev/zero", self.place, self.place + "/fifo"), "priority": (5, -5), "nice": (3,),
                            "time_limit_ns": (NS, 10**7), "grace_ns": (0, NS), "log_cap_bytes": (4096, 10**6), "gpus": (0,),
                            "mem_bytes": (2**26,), "cpus": (1,), "wait_children": (True,), "requeue": (True,),
                            "rlimits": ({"nofile": 64}, {"core": -1}), "params": ({"a": "1"}, {"a": "z", "b": "2.5"}),
                            "energy_limit_uj": (5 * 10**6,), "pause_ns": (10**7,), "idle_bracket_ns": (10**8,), "umask": (0o77,),
                            "on_end": ("true", "", "sleep 1 & exit 3"), "code": ({"commit_id": "ab" * 20, "dirty": True, "diff": "+x"},)}.items():
            if rng.random() < 0.15:
                run[key] = rng.choice(values)
        return run

    def sweep(self):
        rng = self.rng
        axes = [{"key": "a", "values": ["1", "2", "3"]}, {"key": "b", "values": ["x", "y"]}][:rng.randrange(1, 3)]
        run = self.run(argv=["echo", "{a}" if len(axes) == 1 else "{a}{b}"])
        sweep = {"run": run, "axes": axes, "order": rng.choice(("random", "given")), "repeat": rng.choice((1, 2)),
                 "label": "s", "max_running": rng.choice((0, 2)), "seed": rng.randrange(99)}
        if rng.random() < 0.3:
            sweep.update(warmup=["true"], canary=["true"], canary_every=2)
        if rng.random() < 0.2:
            sweep["run"] = self.run(kind="train", argv=["--dataset", "standin:adult", "--epochs", "1", "--depth", "2"])
            sweep["axes"] = [{"key": "size", "values": ["1k", "2k"]}]
        return sweep

    def rows(self):
        table = self.rng.choice(list(IMPORT))
        columns, row = IMPORT[table]
        row = [v % self.rng.randrange(256) if isinstance(v, str) and "%" in v else v for v in row]
        return {"table": table, "columns": columns.split(), "rows": [row], "row": 1}

    def table(self):
        rng = self.rng
        if rng.random() < 0.5:
            return {"columns": rng.sample(COLUMNS, 4), "sort": ["-energy"], "limit": 50}
        return {"group_by": rng.sample(COLUMNS, 2), "agg": ["n", "mean:energy", "ci:time"], "where": rng.choice(FILTERS)}

    def leaver(self):
        """Who leaves: the owner, whose runs are seldom all over; the other user; who has left; nobody."""
        return {"uid": self.rng.choice((0, 65534, -1, -2, self.some("uid") or 1)), "name": self.rng.choice(("root", "x"))}

    def valid(self):
        """Every operation with keys that make sense."""
        rng, some, runs = self.rng, self.some, self.runs
        draft = {"draft": some("draft")}
        return {
            "hello": lambda: {"version": 1, "client": "live"}, "info": dict, "sweeps": dict, "meters": dict, "who": dict,
            "calibrations": dict, "import_commit": dict, "sweep_commit": lambda: draft,
            "warrants": lambda: {"warrants": [bytes(rng.randrange(256) for _ in range(88 + 32 * rng.randrange(4)))]},
            "submit": lambda: {"run": self.run()},
            "sweep": lambda: {"sweep": self.sweep()},
            "sweep_begin": lambda: {"label": "d", "max_fails": 2},
            "sweep_rows": lambda: {**draft, "runs": [self.run() for _ in range(rng.randrange(4))]},
            "sweep_release": lambda: {"sweep": some("sweep")},
            "queue": lambda: {"all": rng.random() < 0.8, "limit": rng.choice((1, 100))},
            "show": lambda: {"run": some("run")},
            "logs": lambda: {"run": some("run"), "follow": rng.random() < 0.2, "offset": rng.choice((0, 3, -5))},
            "wait": lambda: {**rng.choice(({"runs": runs()}, {"sweep": some("sweep")})), "for": rng.choice(("started", "ended"))},
            "watch": lambda: rng.choice(({"runs": runs()}, {"sweep": some("sweep")}, {})),
            "cancel": lambda: {"runs": runs(), "signal": rng.choice((15, 9, 2)), "grace_ns": NS, "reason": "fuzz"},
            "hold": lambda: {"runs": runs()}, "release": lambda: {"runs": runs()}, "pause": lambda: {"runs": runs()},
            "resume": lambda: {"runs": runs()}, "retry": lambda: {"runs": runs()},
            "bump": lambda: {"runs": runs(), **rng.choice(({}, {"first": True}, {"before": some("run")}))},
            "why": lambda: {"run": some("run")},
            "runs": lambda: {"limit": rng.choice((1, 20, 1000)), "where": rng.choice(FILTERS), "energy": True, "params": True},
            "table": self.table,
            "energy": lambda: {**self.window(), "policy": rng.choice(("none", "equal", "reserved", "usage")), "calibrated": True},
            "power": lambda: rng.choice(({"live": True, "interval_ns": 10**8}, {}, {
                "since_utc_ns": (some("submitted_utc_ns") or NS) - 60 * NS, "pixels": rng.choice((10, 2000))})),
            "meter": lambda: {"channel": some("channel")},
            "phase": lambda: {"run": some("run"), "name": rng.choice(("train", "test", None))},
            "tag": lambda: {"runs": runs(), "add": ["t"], "drop": ["u"]},
            "note": lambda: {"runs": runs(), "text": "words"},
            "label": lambda: {"runs": runs(), "label": "new"},
            "metric": lambda: {"runs": runs(), "values": {"loss": 0.5, "acc": 1}, "force": True},
            "exec_begin": lambda: {"run": self.run(kind="exec")},
            "exec_ready": lambda: {"run": some("run"), "token": some("token")},
            "exec_abort": lambda: {"run": some("run"), "reason": "no"},
            "idle": lambda: rng.choice(({"seconds": 5}, {"since_utc_ns": some("submitted_utc_ns") or NS})),
            "audit": lambda: {"since_utc_ns": some("submitted_utc_ns") or NS},
            "calibrate": lambda: {"meter": "dram", "against": "pkg", "serial": "1"},
            "idle_measure": lambda: {"for_ns": 3 * NS},
            "baselines": lambda: {"limit": 10},
            "export": lambda: {"table": rng.choice("run metric energy event sweep boot channel epoch tail chunk head gap".split()),
                               "boot": some("boot"), "t0_ns": 0, "t1_ns": 2**62, "runs": runs()},
            "pin": lambda: {"runs": runs(), "reason": "keep"},
            "unpin": lambda: {"runs": runs()},
            "settle": lambda: {"runs": runs()},
            "import_begin": lambda: {"machine": "m", "format": "wattq", "sha256": "ab" * 32, "facts": "{}"},
            "import_rows": self.rows,
            "curves": lambda: {"runs": runs(), "keys": ["loss", "train_loss"], "points": 50, "energy": True},
            "model_put": lambda: {"machine": "m", "backend": "b", "selection": "s", "version": "1", "energy": "none", "caches": "{}",
                                  "report": "{}", "runs": [{"run": some("run"), "used": True}], "terms": [
                                      {"part": "time", "name": "n", "unit": "s", "meaning": "m", "value": 1.5}]},
            "models": lambda: rng.choice(({}, {"model": 1})),
            "check": dict, "compact": dict, "backup": dict,
            "retire": lambda: self.leaver(), "forget": lambda: self.leaver(),
            "admin_log": lambda: {"limit": rng.choice((1, 100, 10000))},
            "gpu": lambda: {"gpu": rng.choice(("gpu0", "0", "GPU-1")), "on": rng.random() < 0.5, "reason": "fuzz"},
        }

    # ---- changed ones -----------------------------------------------------------------------------

    def value(self, name, old, depth=0):
        """Another value for a field of this name."""
        rng = self.rng
        pick = rng.randrange(14)
        if pick < 3 and self.known.get(name):
            return self.some(name)
        if pick < 6 or (pick < 8 and isinstance(old, int)):
            return rng.choice(EDGES)
        if pick < 9:
            return rng.choice((Text, Text, bytes))(rng.choice(WORDS))
        if pick == 9 and isinstance(old, (str, bytes)) and old:
            raw = bytearray(old.encode() if isinstance(old, str) else old)
            raw[rng.randrange(len(raw))] = rng.randrange(256)
            return Text(raw)
        if pick == 10:
            return rng.choice((None, True, False, 0.0, -1.5, float("inf"), float("nan"), 1e308, [], {}))
        if pick == 11 and isinstance(old, list) and old:
            return (old * rng.choice((2, 10, 1000, 10001)))[:20000]
        if pick == 12 and depth < 9:
            return [self.value(name, old, depth + 1) for _ in range(rng.randrange(1, 4))]
        if pick == 13 and depth < 9:
            return {rng.choice(list(self.known)): self.value(name, old, depth + 1) for _ in range(rng.randrange(1, 4))}
        return rng.choice(FILTERS)

    def places(self, v, found):
        """Every container of a message that has something in it."""
        if isinstance(v, (dict, list)) and v:
            found.append(v)
            for x in v.values() if isinstance(v, dict) else v[:50]:
                self.places(x, found)
        return found

    def change(self, message):
        rng = self.rng
        within = rng.choice(self.places(message, []) or [{"op": "info"}])
        if isinstance(within, list):
            within[rng.randrange(len(within))] = self.value("", within[0])
            return
        key = rng.choice(list(within))
        if rng.random() < 0.15:
            del within[key]
        elif rng.random() < 0.1:
            within[rng.choice(("x", "k" * 64, "k" * 65, "run", "op"))] = self.value(key, None)
        else:
            within[key] = self.value(key, within[key])

    def damage(self, body):
        """Bytes that are no longer what was packed."""
        rng, raw = self.rng, bytearray(body)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            at, how = rng.randrange(len(raw)), rng.randrange(5)
            if how == 0:
                raw[at] ^= 1 << rng.randrange(8)
            elif how == 1:
                raw[at:at] = rng.choice((b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xc7\x05\x01", b"\xc1", b"\x91" * 20,
                                         b"\xdb\xff\xff\xff\xff", b"\xd4\x01\x02", b"\x80", b"\xc6\x7f\xff\xff\xff"))
            elif how == 2 and len(raw) > 1:
                del raw[at:at + rng.randrange(1, 9)]
            elif how == 3:
                raw += rng.randbytes(rng.randrange(1, 40))
            else:
                raw[at] = rng.randrange(256)
            if not raw:
                raw = bytearray(b"\xc0")
        return bytes(raw)

    def next(self):
        """An operation's name, the bytes of a request, and whether nothing was changed in it."""
        rng, valid = self.rng, self.valid()
        op = rng.choice(FOLLOW.get(self.last_op, list(valid)) if rng.random() < 0.6 else list(valid))
        self.last_op = op
        self.last_id += 1
        message = {"op": op, "id": self.last_id, **valid[op]()}
        changes = rng.choice((0, 0, 1, 1, 1, 2, 3))
        for _ in range(changes):
            self.change(message)
        if changes and message and rng.random() < 0.05:
            message = Pairs([*message.items(), rng.choice([*message.items(), (rng.choice(EDGES), 1)])])
        body = pack(rng, message)
        if rng.random() < 0.1:
            return op, self.damage(body), False
        return op, body, not changes

    def learn(self, reply):
        """Keeps what a reply says for each name, the newest few."""
        if isinstance(reply, list):
            for x in reply[:20]:
                self.learn(x)
        if not isinstance(reply, dict):
            return
        for key, v in reply.items():
            if isinstance(v, (dict, list)):
                self.learn(v)
            if v is None or isinstance(v, (dict, list)) or key == "id":
                continue
            kept = self.known.setdefault(key, [])
            kept.append(v)
            del kept[:-12]
