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


def net_helper(report):
    """pith-net alone, with a Linux kernel behind a TAP device as its guest: the oracle for the library OS's network."""
    guest = ["python3", os.path.join(harness.TOP, "test/integration/net_guest.py")]

    def serves():
        harness.need_tap()
        port = free_port()
        with Running(guest + ["-p", "127.0.0.1:%d:6379" % port, "--"] + [REDIS] + PLAIN + ["--bind", "0.0.0.0"]) as p:
            p.wait_text("Ready to accept")
            connect(port).close()
            talk((), "127.0.0.1", port)
            cli("shutdown", "nosave", port=port)
            assert p.wait_code() == 0, p.text()
    report.test("network/pith-net serves a Linux guest", serves)

    def sealed():
        harness.need_tap()
        with Running(guest + ["--", "sh", "-c", "echo up; read x"], stdin=subprocess.PIPE) as p:
            p.wait_text("up")
            pid = [q for q in p.processes() if harness.proc_stat(q)["name"] == "pith-net"][0]
            status = open("/proc/%d/status" % pid).read()
            assert re.search(r"^Seccomp:\s+2$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M), status
            assert re.findall(r"^Cap\w+:\s+(\w+)$", status, re.M) == ["0" * 16] * 5, status
            os.kill(pid, 0)
            p.p.stdin.write(b"\n")
            p.p.stdin.close()
            p.wait_code()
            wait_until(lambda: not os.path.exists("/proc/%d" % pid), "pith-net ends with its guest")
    report.test("network/pith-net is sealed", sealed)

    def refuses():
        for args, text in ((["-p", "x"], "bad argument"), (["-p", "1.2.3.4.5:1:1"], "bad argument"), (["-p", "80:0"], "bad argument"),
                           (["-p", "8.8.8.8:0:80"], "no such address"), (["--bogus", "1"], "bad argument")):
            r, w = os.pipe()
            a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            p = subprocess.Popen([harness.PITH + "-net", "--fd", str(a.fileno()), "--ready-fd", str(w)] + args, pass_fds=(a.fileno(), w))
            os.close(w)
            line = os.read(r, 1000).decode()
            os.close(r)
            a.close(), b.close()
            assert p.wait(10) == 1 and text in line and line.count("\n") == 1, line
    report.test("network/pith-net refuses bad arguments", refuses)

    def hostile_messages():
        rng = random.Random(11)
        r, w = os.pipe()
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        p = subprocess.Popen([harness.PITH + "-net", "--fd", str(a.fileno()), "--ready-fd", str(w)], pass_fds=(a.fileno(), w))
        os.close(w)
        a.close()
        assert os.read(r, 10) == b"ok\n"
        os.close(r)
        b.setblocking(True)
        for i in range(3000):
            frame = bytearray(rng.randbytes(rng.randrange(14, 200)))
            if rng.random() < 0.8:
                frame[12:14] = b"\x08\x00"
                frame[14:15] = b"E"
                if len(frame) > 40:
                    frame[16:18] = (len(frame) - 14).to_bytes(2, "big")
                    frame[23] = rng.choice([1, 6, 17, rng.randrange(256)])
                    frame[26:34] = b"\x0a\x00\x02\x0f\x0a\x00\x02" + bytes([rng.choice([2, 3, 15, 255])])
                    frame[24:26] = b"\x00\x00"
                    total = sum(int.from_bytes(frame[k:k + 2], "big") for k in range(14, 34, 2))
                    while total >> 16:
                        total = (total & 0xffff) + (total >> 16)
                    frame[24:26] = (total ^ 0xffff).to_bytes(2, "big")
            rec = bytes(4) + len(frame).to_bytes(4, "little") + rng.choice([bytes(10), rng.randbytes(10)]) + frame
            if rng.random() < 0.1:
                rec = rec[:rng.randrange(1, len(rec))]
            b.send(rec)
            try:
                while b.recv(131072, socket.MSG_DONTWAIT):
                    pass
            except BlockingIOError:
                pass
        assert p.poll() is None, "pith-net died of a message: %s" % p.returncode
        b.close()
        assert p.wait(10) == 0
    report.test("network/pith-net survives hostile messages", hostile_messages)


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
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
                u.bind(("127.0.0.1", 0))
                text = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor a in ('10.0.2.2', '10.0.2.3', '255.255.255.255'):\n" \
                       " try: s.sendto(b'x', (a, %d))\n except OSError: pass" % u.getsockname()[1]
                expect(harness.pith(["/usr/bin/python3", "-c", text]))
                u.settimeout(0.5)
                try:
                    raise AssertionError("datagram %r from the cage" % u.recv(100))
                except TimeoutError:
                    pass
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
    net_helper(report)
    user_net(report)
    durable(report)
    tap(report)
