#!/usr/bin/env python3
"""The helper programs wattq-meter-* against real counterparts on the loopback: an IPMI controller (ipmi_sim), a
net-snmp agent, HTTP servers that answer as plugs and as Redfish services do, a serial line (a pty)."""
import contextlib
import http.server
import json
import os
import pty
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

BIN = os.path.join(os.environ.get("WATTQ_BIN", "build"), "daemon")
SRC = os.environ.get("WATTQ_SRC", ".")


def program(name):
    path = os.path.join(BIN, "wattq-meter-" + name)
    if not os.path.exists(path):
        raise unittest.SkipTest(f"wattq-meter-{name} was not built: its library is not here")
    return path


def need(*commands):
    for c in commands:
        if not shutil.which(c):
            raise unittest.SkipTest(f"{c} is not installed")


def ask(name, *args, code=0):
    p = subprocess.run([program(name), "--once", *args], capture_output=True, text=True, timeout=60)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p.stdout.splitlines()


def free_port(kind=socket.SOCK_STREAM):
    with contextlib.closing(socket.socket(socket.AF_INET, kind)) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Files(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="wattq-helper-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.procs = []
        self.addCleanup(self.end_procs)

    def end_procs(self):
        for p in self.procs:
            p.kill()
            p.wait()

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def begin(self, *argv, **kw):
        p = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
        self.procs.append(p)
        return p

    def eventually(self, name, *args, seconds=20):
        """Until the other side is up and a number comes."""
        end = time.monotonic() + seconds
        while True:
            p = subprocess.run([program(name), "--once", *args], capture_output=True, text=True, timeout=60)
            if p.returncode == 0 or time.monotonic() > end:
                self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
                return p.stdout.splitlines()
            time.sleep(0.1)


class Http(Files):
    """One server that knows several devices; what it answers is a table."""

    def setUp(self):
        super().setUp()
        table = self.table = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                what = table.get(self.path)
                body = what if isinstance(what, bytes) else json.dumps(what).encode()
                self.send_response(200 if what is not None else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def test_shelly(self):
        self.table["/rpc/Switch.GetStatus?id=2"] = {"id": 2, "apower": 42.5, "aenergy": {"total": 1234.567}}
        self.assertEqual(ask("http", "--shelly", self.host + ",2"), ["power 42.5 W", "energy 1234.567 Wh"])

    def test_shelly_of_the_first_generation_counts_watt_minutes(self):
        self.table["/meter/0"] = {"power": 60.25, "is_valid": True, "total": 6000}
        self.assertEqual(ask("http", "--shelly1", self.host), ["power 60.25 W", "energy 100 Wh"])

    def test_nothing_that_is_not_metered_becomes_zero(self):
        self.table["/rpc/Switch.GetStatus?id=0"] = {"id": 0, "output": True}
        lines = ask("http", "--shelly", self.host, code=1)
        self.assertEqual([x.split(" ")[:3] for x in lines],
                         [["power", "-", "unsupported"], ["energy", "-", "unsupported"]])
        self.table["/meter/0"] = {"power": 0, "is_valid": False, "total": 0}
        lines = ask("http", "--shelly1", self.host, code=1)
        self.assertEqual([x.split(" ")[:3] for x in lines], [["power", "-", "disabled"], ["energy", "-", "disabled"]])

    def test_tasmota(self):
        self.table["/cm?cmnd=Status%208"] = {"StatusSNS": {"ENERGY": {"Total": 3.185, "Power": 17}}}
        self.assertEqual(ask("http", "--tasmota", self.host), ["power 17 W", "energy 3.185 kWh"])

    def test_any_path(self):
        self.table["/x"] = {"sensors": [{}, {"p": "1500", "note": "text"}]}
        url = f"http://{self.host}/x"
        self.assertEqual(ask("http", "--url", url, "--power", "sensors[1].p", "--power-unit", "mW"), ["power 1500 mW"])
        lines = ask("http", "--url", url, "--power", "sensors[1].note", code=1)
        self.assertTrue(lines[0].startswith("power - garbled "), lines)

    def test_answers_that_are_none(self):
        self.table["/html"] = b"<html>"
        for url, word in ((f"http://{self.host}/html", "garbled"), (f"http://{self.host}/none", "unsupported"),
                          (f"http://127.0.0.1:{free_port()}/", "io"), ("file:///etc/passwd", "io")):
            lines = ask("http", "--url", url, "--power", "p", code=1)
            self.assertTrue(lines[0].startswith(f"power - {word} "), (url, lines))

    def test_goes_on_and_ends_with_its_reader(self):
        self.table["/x"] = {"p": 1}
        p = subprocess.Popen([program("http"), "--url", f"http://{self.host}/x", "--power", "p", "--period", "100ms"],
                             stdout=subprocess.PIPE, text=True)
        self.procs.append(p)
        self.assertEqual(p.stdout.readline(), "power 1 W\n")
        self.table["/x"] = {"p": 2}
        while p.stdout.readline() != "power 2 W\n":
            pass
        p.stdout.close()
        self.assertIsNotNone(p.wait(timeout=20))

    def redfish(self):
        self.table["/redfish/v1/Chassis"] = {"Members": [{"@odata.id": "/redfish/v1/Chassis/1"}]}
        self.table["/redfish/v1/Chassis/1"] = {"Power": {"@odata.id": "/redfish/v1/Chassis/1/Power"}}
        self.table["/redfish/v1/Chassis/1/Power"] = {
            "PowerControl": [{"PowerConsumedWatts": 344, "PowerMetrics": {"IntervalInMin": 1}}]}
        return ["--url", f"http://{self.host}"]

    def test_redfish_old_and_new(self):
        url = self.redfish()
        self.assertEqual(ask("redfish", *url), ["power 344 W"])
        self.table["/redfish/v1/Chassis/1"]["EnvironmentMetrics"] = {"@odata.id": "/redfish/v1/Chassis/1/Env"}
        self.table["/redfish/v1/Chassis/1/Env"] = {"PowerWatts": {"Reading": 351.5}, "EnergykWh": {"Reading": 71.25}}
        self.assertEqual(ask("redfish", *url), ["power 351.5 W", "energy 71.25 kWh"])
        self.table["/redfish/v1/Chassis/1/Env"] = {"TemperatureCelsius": {"Reading": 31}}
        self.assertEqual(ask("redfish", *url), ["power 344 W"])

    def test_redfish_does_not_guess(self):
        url = self.redfish()
        self.table["/redfish/v1/Chassis/1/Power"]["PowerControl"].append({"PowerConsumedWatts": 99})
        self.assertIn("--control", ask("redfish", *url, code=1)[0])
        self.assertEqual(ask("redfish", *url, "--control", "1"), ["power 99 W"])
        self.table["/redfish/v1/Chassis"]["Members"].append({"@odata.id": "/redfish/v1/Chassis/2"})
        self.assertIn("--chassis", ask("redfish", *url, code=1)[0])
        self.assertEqual(ask("redfish", *url, "--chassis", "1", "--control", "0"), ["power 344 W"])


class Snmp(Files):
    BASE = ".1.3.6.1.4.1.8072.9999.9999.2"
    AGENT = """#!/usr/bin/python3
import sys
B = '{base}'
while True:
    line = sys.stdin.readline()
    if not line:
        break
    if line.strip() == 'PING':
        print('PONG', flush=True)
        continue
    oid = sys.stdin.readline().strip()
    if line.strip() == 'get' and oid in (B + '.1', B + '.2', B + '.3'):
        kind = {{B + '.1': 'gauge', B + '.2': 'counter64', B + '.3': 'string'}}[oid]
        print(oid + '\\n' + kind + '\\n' + open('{dir}/' + oid[-1]).read().strip(), flush=True)
    else:
        print('NONE', flush=True)
"""

    def setUp(self):
        super().setUp()
        need("snmpd", "/usr/bin/python3")
        port = free_port(socket.SOCK_DGRAM)
        self.file("1", "2305")
        self.file("2", "12345678901")
        self.file("3", "many")
        agent = self.file("agent.py", self.AGENT.format(base=self.BASE, dir=self.dir), 0o755)
        conf = self.file("snmpd.conf", f"""agentAddress udp:127.0.0.1:{port}
rocommunity secret 127.0.0.1
createUser tester SHA "authpass123" AES "privpass123"
rouser tester priv
pass_persist {self.BASE} /usr/bin/python3 {agent}
""")
        self.begin("snmpd", "-f", "-Lo", "-C", "-c", conf, "--persistentDir=" + self.dir, "-p", self.dir + "/pid")
        self.host = ["--host", f"127.0.0.1:{port}"]
        self.v2 = ["--community-file", self.file("community", "secret\n")]

    def test_both_versions_all_kinds_of_numbers(self):
        power = ["--power", self.BASE + ".1", "--power-scale", "0.1"]
        energy = ["--energy", self.BASE + ".2", "--energy-scale", "100"]
        self.assertEqual(self.eventually("snmp", *self.host, *self.v2, *power, *energy),
                         ["power 230.5 W", "energy 1234567890100 Wh"])
        self.file("1", "1000")
        v3 = ["--user", "tester", "--auth-file", self.file("auth", "authpass123\n"), "--priv-file",
              self.file("priv", "privpass123\n")]
        self.assertEqual(self.eventually("snmp", *self.host, *v3, *power), ["power 100 W"])
        lines = ask("snmp", *self.host, *self.v2, "--power", self.BASE + ".3", code=1)
        self.assertTrue(lines[0].startswith("power - garbled "), lines)
        lines = ask("snmp", *self.host, *self.v2, "--power", self.BASE + ".9", code=1)
        self.assertTrue(lines[0].startswith("power - unsupported "), lines)

    def test_secrets_are_kept(self):
        open_file = self.file("open", "secret\n", 0o644)
        p = subprocess.run([program("snmp"), "--once", *self.host, "--power", self.BASE + ".1", "--community-file",
                            open_file], capture_output=True, text=True, timeout=30)
        self.assertEqual(p.returncode, 2)
        self.assertIn("chmod 600", p.stderr)


class Dcmi(Files):
    def setUp(self):
        super().setUp()
        need("ipmi_sim", "ipmi-dcmi", "cc")
        if not os.path.exists("/usr/include/OpenIPMI/mcserv.h"):
            raise unittest.SkipTest("libopenipmi-dev is not installed")
        plugin = os.path.join(self.dir, "dcmi.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", plugin,
                        os.path.join(SRC, "tests/support/ipmi/dcmi_plugin.c")], check=True)
        port = free_port(socket.SOCK_DGRAM)
        self.watts = self.file("watts", "250 200 300 240")
        lan = self.file("lan.conf", f"""name "test"
loadlib "{plugin}" "{self.watts}"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  user 1 true  ""        "test" user     10       none md2 md5 straight
  user 2 true  "ipmiusr" "test" admin    10       none md2 md5 straight
""")
        emu = self.file("sim.emu", "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n"
                        "sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n")
        state = os.path.join(self.dir, "state")
        os.mkdir(state)
        sim = self.begin("ipmi_sim", "-c", lan, "-f", emu, "-s", state, stdin=subprocess.PIPE)
        self.addCleanup(sim.stdin.close)
        config = self.file("freeipmi.conf", "username ipmiusr\npassword test\n")
        self.args = ["--host", f"127.0.0.1:{port}", "--config", config, "--workaround", "opensesspriv"]

    def test_current_power_is_read_and_busy_is_no_number(self):
        self.assertEqual(self.eventually("dcmi", *self.args), ["power 250 W"])
        self.file("watts", "117 100 300 240")
        self.assertEqual(self.eventually("dcmi", *self.args), ["power 117 W"])
        os.remove(self.watts)
        self.assertTrue(ask("dcmi", *self.args, code=1)[0].startswith("power - "))

    def test_no_command(self):
        line = ask("dcmi", *self.args, "--command", "/nonexistent/ipmi-dcmi", code=1)[0]
        self.assertTrue(line.startswith("power - unsupported "), line)


class Serial(Files):
    def setUp(self):
        super().setUp()
        self.master, slave = pty.openpty()
        self.device = os.ttyname(slave)
        self.addCleanup(os.close, slave)

    def start(self, *args):
        p = subprocess.Popen([program("serial"), "--device", self.device, *args], stdout=subprocess.PIPE, text=True)
        self.procs.append(p)
        self.addCleanup(p.stdout.close)
        return p

    def test_lines_with_numbers_count(self):
        p = self.start("--period", "10s")
        time.sleep(0.3)
        os.write(self.master, b"noise\r\nP= 12.5 W\r\n" + b"9" * 2000 + b" W\r\n-3 W\r\n")
        self.assertEqual(p.stdout.readline(), "power 12.5 W\n")
        self.assertEqual(p.stdout.readline(), "power -3 W\n")
        os.close(self.master)
        self.assertTrue(p.stdout.readline().startswith("power - gone "))

    def test_a_meter_that_is_asked(self):
        p = self.start("--send", "READ?\\r\\n", "--match", "^PWR ([0-9]+)$", "--unit", "mW", "--period", "100ms")
        self.addCleanup(os.close, self.master)
        got = b""
        while b"READ?\r\n" not in got:
            got += os.read(self.master, 100)
        os.write(self.master, b"PWR 1234\n")
        line = p.stdout.readline()
        while line.startswith("power - io"):
            line = p.stdout.readline()
        self.assertEqual(line, "power 1234 mW\n")


class Usage(unittest.TestCase):
    def test_help_and_mistakes(self):
        for name in ("http", "redfish", "snmp", "dcmi", "serial"):
            with contextlib.suppress(unittest.SkipTest):
                text = subprocess.run([program(name), "--help"], capture_output=True, text=True).stdout
                self.assertTrue(text.startswith(f"wattq-meter-{name}: "), text)
                for args in ([], ["--bogus"], ["--period", "1us"]):
                    p = subprocess.run([program(name), *args], capture_output=True, text=True)
                    self.assertEqual(p.returncode, 2, (name, args))


if __name__ == "__main__":
    unittest.main()
