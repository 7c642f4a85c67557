"""The wattq protocol (docs/protocol.md) in Python, standard library only: msgpack, frames, a client."""
import socket
import struct


def pack(v):
    """Any value the protocol knows, as msgpack."""
    if v is None:
        return b"\xc0"
    if v is True or v is False:
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        return struct.pack("B", v) if 0 <= v < 128 else b"\xd3" + struct.pack(">q", v)
    if isinstance(v, float):
        return b"\xcb" + struct.pack(">d", v)
    if isinstance(v, str):
        raw = v.encode()
        return b"\xdb" + struct.pack(">I", len(raw)) + raw
    if isinstance(v, (bytes, bytearray)):
        return b"\xc6" + struct.pack(">I", len(v)) + bytes(v)
    if isinstance(v, (list, tuple)):
        return b"\xdd" + struct.pack(">I", len(v)) + b"".join(map(pack, v))
    if isinstance(v, dict):
        return b"\xdf" + struct.pack(">I", len(v)) + b"".join(pack(k) + pack(x) for k, x in v.items())
    raise TypeError(f"{type(v)} has no place in a message")


_FIXED = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h",
          0xD2: ">i", 0xD3: ">q"}
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}


def unpack(b, i=0):
    """One value at b[i], and where it ends."""
    t = b[i]
    i += 1
    if t < 0x80 or t >= 0xE0:
        return (t if t < 0x80 else t - 256), i
    if t in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[t], i
    if t in _FIXED:
        n = struct.calcsize(_FIXED[t])
        return struct.unpack(_FIXED[t], b[i:i + n])[0], i + n
    if t < 0xC0:
        n = t & (0x1F if t >= 0xA0 else 0x0F)
    else:
        n = int.from_bytes(b[i:i + _SIZED[t]], "big")
        i += _SIZED[t]
    if 0xA0 <= t < 0xC0 or t in (0xD9, 0xDA, 0xDB):
        return b[i:i + n].decode(), i + n
    if t in (0xC4, 0xC5, 0xC6):
        return bytes(b[i:i + n]), i + n
    is_map = t < 0x90 or t in (0xDE, 0xDF)
    out = []
    for _ in range(n * (2 if is_map else 1)):
        v, i = unpack(b, i)
        out.append(v)
    return (dict(zip(out[::2], out[1::2])) if is_map else out), i


class Refused(Exception):
    """An error reply: .code is its stable name, .text the sentence, .next what to do."""

    def __init__(self, error):
        self.code, self.text, self.next = error["code"], error["text"], error.get("next", "")
        super().__init__(f"{self.code}: {self.text}")


class Client:
    """One connection. call() gives the last frame, with the arrays of all frames joined; send() and
    recv() are for streams."""

    def __init__(self, path, timeout=30, hello=True):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.buf = b""
        self.last_id = 0
        self.kept = []
        try:
            self.sock.settimeout(timeout)
            self.sock.connect(path)
            self.hello = self.call("hello", version=1, client="test") if hello else None
        except BaseException:
            self.sock.close()
            raise

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, body):
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def send(self, op, **keys):
        self.last_id += 1
        self.send_raw(pack({"op": op, "id": self.last_id, **keys}))
        return self.last_id

    def recv_any(self):
        """The next frame, whatever it answers; EOFError when the daemon closed."""
        while True:
            if len(self.buf) >= 4:
                n = struct.unpack(">I", self.buf[:4])[0]
                if len(self.buf) >= 4 + n:
                    body, self.buf = self.buf[4:4 + n], self.buf[4 + n:]
                    return unpack(body)[0]
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError("the daemon closed the connection")
            self.buf += data

    def recv(self, ident):
        """The next frame with this id; others are kept for their own recv."""
        for i, frame in enumerate(self.kept):
            if frame.get("id", 0) == ident:
                del self.kept[i]
                break
        else:
            frame = self.recv_any()
            while frame.get("id", 0) != ident:
                self.kept.append(frame)
                frame = self.recv_any()
        if "error" in frame:
            raise Refused(frame["error"])
        return frame

    def call(self, op, **keys):
        ident = self.send(op, **keys)
        whole = {}
        while True:
            frame = self.recv(ident)
            for k, v in frame.items():
                whole[k] = whole[k] + v if isinstance(v, list) and k in whole else v
            if not frame.get("more"):
                whole.pop("more", None)
                return whole
