"""What wattq-launcher is asked in, in Python: its records (daemon/launch/launcher.h), the warrants it signs, the launch
block of a run (daemon/launch/frames.h) and a shepherd's frames.

    w = sign(sock, [Order(["true"])])       # sock: connected to <launcher>/sign; raises Refused"""
import array
import hashlib
import socket
import struct

RECORD_MAGIC, BLOCK_MAGIC, FRAME_MAGIC = 0x71746C77, 0x71746C32, 0x71747477
SIGN, START, STATUS, METER, EXEC_DIR, OK, REFUSED = 1, 2, 3, 4, 5, 64, 65
UNKNOWN, ALIVE, ENDED, WITNESSED, KILLED = range(5)
GO, STOP, PAUSE, RESUME, FILED = 32, 33, 34, 35, 37
GATE, RUNNING, PAUSED, DRAINING, PHASE_ENDED = range(5)
TRAIN, HAS_ON_END = 4, 8
HEAD = struct.Struct("=IIqqqiiiiq240s240s")
WARRANT = struct.Struct("=IIqqqII16s32s")
FRAME = struct.Struct("=IHHqqqqqqii")
F_ADD_SEALS = 1033
SEALS = 0x2 | 0x4 | 0x8 | 0x1  # shrink, grow, write, seal
SECOND = 10**9


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


class Order:
    def __init__(self, argv, env=("PATH=/usr/bin:/bin", "A=b"), cwd="/", stdin="", umask=0o027, kind=0,
                 on_end=""):
        self.argv, self.env, self.cwd, self.stdin, self.umask, self.kind, self.on_end = (
            list(argv), list(env), cwd, stdin, umask, kind, on_end)

    def leaf(self):
        def text(s):
            return struct.pack("<Q", len(s)) + s

        env = hashlib.sha256(b"".join(v.encode() + b"\0" for v in self.env)).hexdigest()
        data = text(b"wattq order 1") + struct.pack("<QQ", self.kind, self.umask)
        data += b"".join(text(s.encode()) for s in (self.cwd, self.stdin, env))
        data += struct.pack("<Q", len(self.argv)) + b"".join(text(a.encode()) for a in self.argv)
        data += text(self.on_end.encode()) if self.on_end else b""
        return hashlib.sha256(data).digest()

    def block(self, run, token, extra=(), rlimits=(), nice=0, flags=0, linger=SECOND // 2, mem=0, pids=0):
        argv = (["somewhere/else"] if self.kind else []) + self.argv
        flags |= (TRAIN if self.kind else 0) | (HAS_ON_END if self.on_end else 0)
        parts = argv + self.env + list(extra) + [self.cwd, self.stdin, "/sys/fs/cgroup/not/yours"]
        parts += [self.on_end] if self.on_end else []
        text = b"".join(p.encode() + b"\0" for p in parts)
        limits = b"".join(struct.pack("=iiq", r, 0, soft) for r, soft in rlimits)
        return struct.pack("=IIqqqqqqqqiIIIIIII", BLOCK_MAGIC, 104 + len(limits) + len(text), run, token,
                           SECOND, linger, 0, 0, mem, pids, nice, self.umask, flags, len(argv), len(self.env),
                           len(extra), len(rlimits), 0) + limits + text


class Warrant:
    def __init__(self, data):
        (self.version, self.n, self.uid, self.made, self.until, self.starts, self.reserved, self.id,
         self.mac) = WARRANT.unpack(data[:WARRANT.size])
        self.leaves = data[WARRANT.size:]

    def bytes(self):
        return WARRANT.pack(self.version, self.n, self.uid, self.made, self.until, self.starts,
                            self.reserved, self.id, self.mac) + self.leaves


def ask(sock, kind, run=0, token=0, uid=0, text="", warrant=b"", fds=()):
    head = HEAD.pack(RECORD_MAGIC, kind, run, token, uid, 0, 0, 0, 0, 0, text.encode(), b"")
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([head, warrant], control)
    data, got, _, _ = socket.recv_fds(sock, 16384, 4)
    assert data, "no answer"
    f = HEAD.unpack(data[:HEAD.size])
    if f[1] == REFUSED:
        raise Refused(f[5], f[10].rstrip(b"\0").decode())
    return {"state": f[6], "status": f[7], "pid": f[8], "t_ns": f[9], "fds": list(got),
            "warrant": data[HEAD.size:]}


def sign(sock, orders, starts=None, uid=0):
    """A warrant for these orders: the uid in it is the launcher's to fill in, whatever is said here."""
    leaves = b"".join(o.leaf() for o in orders)
    asked = WARRANT.pack(1, len(orders), uid, 0, 0, starts or len(orders), 0, bytes(16), bytes(32)) + leaves
    return Warrant(ask(sock, SIGN, uid=uid, warrant=asked)["warrant"])
