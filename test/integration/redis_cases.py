# SPDX-License-Identifier: ISC
"""redis-server over the user network and over TAP, clients of the host, and the promise of appendfsync always."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import harness
from harness import Namespace, Running, command, connect, expect, free_port, run_command, wait_until

REDIS = "/usr/bin/redis-server"
PLAIN = ["--save", "", "--protected-mode", "no"]


def cli(*args, prefix=(), port=6379, host="127.0.0.1"):
    return run_command(list(prefix) + ["redis-cli", "-h", host, "-p", str(port)] + list(args), limit=30)


def benchmark(prefix, host, port, requests=20000):
    r = run_command(list(prefix) + ["redis-benchmark", "-h", host, "-p", str(port), "-n", str(requests), "-c", "50", "--csv",
                                    "-t", "ping,set,get,incr,lpush,lrange_100,mset"], limit=120)
    assert r.code == 0 and "rror" not in r.out + r.err.replace("WARNING: Could not fetch server CONFIG", ""), r
    rates = re.findall(r'^"([^"]+)","([\d.]+)"', r.out, re.M)
    assert len(rates) >= 6 and all(float(v) > 100 for _, v in rates), r
    return rates


def talk(prefix, host, port):
    assert cli("set", "k", "v", prefix=prefix, host=host, port=port).out == "OK\n"
    assert cli("get", "k", prefix=prefix, host=host, port=port).out == "v\n"
    big = "x" * 100000
    assert cli("set", "big", big, prefix=prefix, host=host, port=port).out == "OK\n"
    assert cli("get", "big", prefix=prefix, host=host, port=port).out == big + "\n"
    assert cli("eval", "return redis.call('incrby', 'n', 5)", "0", prefix=prefix, host=host, port=port).out == "5\n"
    assert "redis_version" in cli("info", prefix=prefix, host=host, port=port).out


def user_net(report):
    def talks():
        port = free_port()
        with Running(command([REDIS] + PLAIN, ["-p", "127.0.0.1:%d:6379" % port])) as p:
            p.wait_text("Ready to accept")
            connect(port).close()
            talk((), "127.0.0.1", port)
            benchmark((), "127.0.0.1", port)
            with socket.create_connection(("127.0.0.1", port)) as c:
                c.sendall(b"PING\r\n" * 1000)
                got = b""
                while len(got) < 7000:
                    part = c.recv(65536)
                    assert part, "closed after %d bytes" % len(got)
                    got += part
                assert got == b"+PONG\r\n" * 1000
            p.p.terminate()
            assert p.wait_code() == 0, p.text()
            assert "bye bye" in p.text()
    report.test("redis/user network", talks)

    def nc_and_curl():
        port = free_port()
        server = ("import http.server\nclass H(http.server.BaseHTTPRequestHandler):\n"
                  " def do_GET(self):\n  b = self.path.encode() * 50000\n  self.send_response(200)\n"
                  "  self.send_header('Content-Length', str(len(b)))\n  self.end_headers()\n  self.wfile.write(b)\n"
                  " def do_POST(self):\n  n = int(self.headers['Content-Length']); d = self.rfile.read(n)\n"
                  "  self.send_response(200); self.end_headers(); self.wfile.write(str(sum(d)).encode())\n"
                  " def log_message(self, *a): pass\n"
                  "s = http.server.ThreadingHTTPServer(('0.0.0.0', 80), H)\nprint('ready', flush=True)\ns.serve_forever()")
        with Running(command(["/usr/bin/python3", "-c", server], ["-p", "127.0.0.1:%d:80" % port])) as p:
            p.wait_text("ready")
            url = "http://127.0.0.1:%d/abcdefg" % port
            r = expect(run_command(["curl", "-s", url]))
            assert r.out == "/abcdefg" * 50000, len(r.out)
            data = random.Random(1).randbytes(3000000)
            r = expect(run_command(["curl", "-s", "--data-binary", "@-", url], stdin=data))
            assert int(r.out) == sum(data)
            r = run_command(["nc", "-q", "5", "127.0.0.1", str(port)], stdin=b"GET /x HTTP/1.0\r\n\r\n")
            assert "200 OK" in r.out, r
            many = [subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-w", "%{size_download}", url], stdout=subprocess.PIPE) for _ in range(12)]
            assert [c.communicate(timeout=30)[0] for c in many] == [b"400000"] * 12
    report.test("network/http server with curl and nc", nc_and_curl)

    def outward():
        with socket.create_server(("0.0.0.0", 0)) as s:
            got = []

            def serve():
                c, _ = s.accept()
                got.append(c.recv(100))
                c.sendall(b"answer")
                c.close()
            threading.Thread(target=serve, daemon=True).start()
            addr = host_address()
            text = "import socket; c = socket.create_connection(('%s', %d), 10); c.sendall(b'out'); print(c.recv(100))" % (addr, s.getsockname()[1])
            expect(harness.pith(["/usr/bin/python3", "-c", text]), out="b'answer'\n")
            assert got == [b"out"]
    report.test("network/outward connection", outward)

    def no_loopback():
        with socket.create_server(("127.0.0.1", 0)) as s:
            s.settimeout(0.5)
            for to in ("10.0.2.2", "127.0.0.1"):
                text = "import socket\ntry:\n socket.create_connection(('%s', %d), 2); print('in')\nexcept OSError: print('out')" % (to, s.getsockname()[1])
                expect(harness.pith(["/usr/bin/python3", "-c", text]), out="out\n")
    report.test("network/the host's loopback is out of reach", no_loopback)

    def udp():
        port = free_port(socket.SOCK_DGRAM)
        text = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 53))\nprint('ready', flush=True)\n"
                "while True:\n d, a = s.recvfrom(2000); s.sendto(d.upper(), a)")
        with Running(command(["/usr/bin/python3", "-c", text], ["-p", "127.0.0.1:%d:53/udp" % port])) as p:
            p.wait_text("ready")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
                c.settimeout(5)
                for i in range(20):
                    c.sendto(b"packet%d" % i, ("127.0.0.1", port))
                    assert c.recv(100) == b"PACKET%d" % i
    report.test("network/udp", udp)
    report.test("network/none", lambda: expect(harness.pith(
        ["/usr/bin/python3", "-c", "import socket\ntry:\n socket.create_connection(('10.0.2.2', 80), 2)\nexcept OSError as e: print(e.errno)"],
        ["--net", "none"]), out="101\n"))


def host_address():
    r = run_command(["ip", "-4", "-o", "addr", "show", "scope", "global"])
    m = re.search(r"inet ([\d.]+)/", r.out)
    if not m:
        raise harness.Skip("the host has no address but loopback")
    return m.group(1)


def tap(report):
    def over_tap():
        with Namespace() as ns, Running(ns.pith([REDIS] + PLAIN)) as p:
            p.wait_text("Ready to accept")
            wait_until(lambda: cli("ping", prefix=ns.cmd([]), host=ns.GUEST).out == "PONG\n", "PONG over TAP")
            expect(run_command(ns.cmd(["ping", "-c", "3", "-i", "0.2", ns.GUEST])))
            talk(ns.cmd([]), ns.GUEST, 6379)
            benchmark(ns.cmd([]), ns.GUEST, 6379)
            p.p.terminate()
            assert p.wait_code() == 0, p.text()
    report.test("redis/TAP", over_tap)

    def loss():
        """A lossy, reordering path in a namespace, if the kernel has netem; the answers are right all the same."""
        with Namespace() as ns:
            r = run_command(ns.cmd(["tc", "qdisc", "add", "dev", "tap0", "root", "netem", "loss", "2%", "delay", "2ms", "2ms"]))
            if r.code != 0:
                raise harness.Skip("the kernel has no netem")
            with Running(ns.pith([REDIS] + PLAIN)) as p:
                p.wait_text("Ready to accept")
                wait_until(lambda: cli("ping", prefix=ns.cmd([]), host=ns.GUEST).out == "PONG\n", "PONG")
                talk(ns.cmd([]), ns.GUEST, 6379)
    report.test("redis/TAP with loss", loss)


def load(port, written, stop):
    """SET counter keys one at a time and note each that was acknowledged."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as c:
            f = c.makefile("rb")
            while not stop.is_set():
                key = "k%d-%d" % (threading.get_ident(), len(written))
                c.sendall(b"SET %s %s\r\n" % (key.encode(), key.encode()))
                if f.readline() != b"+OK\r\n":
                    return
                written.append(key)
    except OSError:
        pass  # the server was killed, which is the point


def durable(report):
    def killed_under_load():
        d = tempfile.mkdtemp(prefix="pith-aof-")
        os.chmod(d, 0o777)
        promised = []
        try:
            for turn in range(5):
                port = free_port()
                options = ["-p", "127.0.0.1:%d:6379" % port, "-v", d + ":/data"]
                args = [REDIS] + PLAIN + ["--appendonly", "yes", "--appendfsync", "always", "--dir", "/data"]
                with Running(command(args, options)) as p:
                    p.wait_text("Ready to accept")
                    c = connect(port)
                    f = c.makefile("rb")
                    for key in promised:
                        c.sendall(b"GET %s\r\n" % key.encode())
                        f.readline()
                        assert f.readline() == key.encode() + b"\r\n", "turn %d: %s of %d is lost" % (turn, key, len(promised))
                    stop = threading.Event()
                    lists = [[] for _ in range(4)]
                    threads = [threading.Thread(target=load, args=(port, w, stop)) for w in lists]
                    for t in threads:
                        t.start()
                    wait_until(lambda: sum(map(len, lists)) > 60 * (turn + 1), "writes under load")
                    for pid in sorted(p.processes(), reverse=turn % 2 == 0):
                        try:
                            os.kill(pid, signal.SIGKILL)
                        except ProcessLookupError:
                            pass
                    p.wait_code()
                    stop.set()
                    for t in threads:
                        t.join(25)
                    promised += [k for w in lists for k in w]
                    c.close()
        finally:
            shutil.rmtree(d)
    report.test("redis/every acknowledged write survives kill -9", killed_under_load)


def run(report):
    user_net(report)
    durable(report)
    tap(report)
