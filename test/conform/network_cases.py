# SPDX-License-Identifier: ISC
"""Unmodified servers in a virtual machine, spoken to from the host: over the user network and over TAP."""
import functools
import random
import re
import shutil
import socket
import subprocess

import vm
from harness import Namespace, Running, Skip, command, connect, expect, free_port, run_command, wait_until

REDIS = "/usr/bin/redis-server"
PYTHON = "/usr/bin/python3"
PLAIN = ("--save", "", "--protected-mode", "no")
SERVER = ("import http.server\nclass H(http.server.BaseHTTPRequestHandler):\n"
          " def do_GET(self):\n  b = self.path.encode() * 50000\n  self.send_response(200)\n"
          "  self.send_header('Content-Length', str(len(b)))\n  self.end_headers()\n  self.wfile.write(b)\n"
          " def do_POST(self):\n  n = int(self.headers['Content-Length']); d = self.rfile.read(n)\n"
          "  self.send_response(200); self.end_headers(); self.wfile.write(str(sum(d)).encode())\n"
          " def log_message(self, *a): pass\n"
          "s = http.server.ThreadingHTTPServer(('0.0.0.0', 80), H)\nprint('ready', flush=True)\ns.serve_forever()")


def need_programs(*paths):
    for p in paths:
        if shutil.which(p) is None:
            raise Skip("%s is not installed" % p)


def redis_options(on, port, options=()):
    return ["--on", on, "-p", "127.0.0.1:%d:6379" % port] + list(options)


def cli(*args, prefix=(), host="127.0.0.1", port=6379):
    return run_command(list(prefix) + ["redis-cli", "-h", host, "-p", str(port)] + list(args), limit=30)


def benchmark(prefix, host, port, pipeline, requests):
    r = run_command(list(prefix) + ["redis-benchmark", "-h", host, "-p", str(port), "-n", str(requests), "-c", "20", "-P", str(pipeline),
                                    "--csv", "-t", "get,set"], limit=60)
    assert r.code == 0 and "rror" not in r.out + r.err.replace("WARNING: Could not fetch server CONFIG", ""), r
    rates = dict(re.findall(r'^"(SET|GET)","([\d.]+)"', r.out, re.M))
    assert set(rates) == {"SET", "GET"} and all(float(v) > 100 for v in rates.values()), r


def talk(prefix, host, port):
    big = "x" * 100000
    assert cli("set", "big", big, prefix=prefix, host=host, port=port).out == "OK\n"
    assert cli("get", "big", prefix=prefix, host=host, port=port).out == big + "\n"
    for pipeline, requests in ((1, 2000), (16, 8000)):
        benchmark(prefix, host, port, pipeline, requests)


def redis(on):
    need_programs(REDIS, "redis-benchmark")
    vm.need(on)
    port = free_port()
    with Running(command([vm.images[(REDIS,) + PLAIN]], redis_options(on, port))) as p:
        p.wait_text("Ready to accept", limit=60)
        connect(port).close()
        talk((), "127.0.0.1", port)
        p.p.terminate()
        assert p.wait_code() == 0 and "bye bye" in p.text(), p.text()


def redis_over_tap(on):
    need_programs(REDIS, "redis-benchmark")
    vm.need(on)
    with Namespace() as ns, Running(ns.pith([vm.images[(REDIS,) + PLAIN]], ["--on", on])) as p:
        p.wait_text("Ready to accept", limit=60)
        wait_until(lambda: cli("ping", prefix=ns.cmd([]), host=ns.GUEST).out == "PONG\n", "PONG over TAP")
        expect(run_command(ns.cmd(["ping", "-c", "3", "-i", "0.2", ns.GUEST])))
        talk(ns.cmd([]), ns.GUEST, 6379)
        p.p.terminate()
        assert p.wait_code() == 0, p.text()


def redis_append_only(on):
    """What was acknowledged under `appendfsync always` is on the volume after the machine was killed."""
    need_programs(REDIS)
    vm.need(on)
    d = vm.images.scratch()
    image = vm.images[(REDIS,) + PLAIN + ("--appendonly", "yes", "--appendfsync", "always", "--dir", "/data")]
    for turn in range(3):
        port = free_port()
        with Running(command([image], redis_options(on, port, ["-v", d + ":/data"]))) as p:
            p.wait_text("Ready to accept", limit=60)
            with connect(port) as c:
                f = c.makefile("rb")
                c.sendall(b"DBSIZE\r\n")
                assert f.readline() == b":%d\r\n" % (40 * turn)
                for i in range(40):
                    c.sendall(b"SET key-%d-%d v\r\n" % (turn, i))
                    assert f.readline() == b"+OK\r\n"
                p.p.kill()
            p.wait_code()


def http(on):
    need_programs(PYTHON, "curl")
    vm.need(on)
    port = free_port()
    with Running(command([vm.images[PYTHON, "-c", SERVER]], ["--on", on, "-p", "127.0.0.1:%d:80" % port])) as p:
        p.wait_text("ready", limit=60)
        url = "http://127.0.0.1:%d/abcdefg" % port
        r = expect(run_command(["curl", "-s", url]))
        assert r.out == "/abcdefg" * 50000, len(r.out)
        data = random.Random(1).randbytes(1000000)
        assert int(expect(run_command(["curl", "-s", "--data-binary", "@-", url], stdin=data)).out) == sum(data)
        many = [subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-w", "%{size_download}", url], stdout=subprocess.PIPE)
                for _ in range(6)]
        assert [c.communicate(timeout=30)[0] for c in many] == [b"400000"] * 6
        p.p.terminate()
        assert p.wait_code() == 143, p.text()


def udp(on):
    need_programs(PYTHON)
    vm.need(on)
    port = free_port(socket.SOCK_DGRAM)
    text = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 53))\nprint('ready', flush=True)\n"
            "while True:\n d, a = s.recvfrom(2000); s.sendto(d.upper(), a)")
    with Running(command([vm.images[PYTHON, "-c", text]], ["--on", on, "-p", "127.0.0.1:%d:53/udp" % port])) as p:
        p.wait_text("ready", limit=60)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
            c.settimeout(5)
            for i in range(20):
                c.sendto(b"packet%d" % i, ("127.0.0.1", port))
                assert c.recv(100) == b"PACKET%d" % i


def no_network(on):
    need_programs(PYTHON)
    vm.need(on)
    text = "import socket\ntry:\n socket.create_connection(('10.0.2.2', 80), 2)\nexcept OSError as e: print(e.errno)"
    expect(run_command(command([vm.images[PYTHON, "-c", text]], ["--on", on, "--net", "none"])), out="101\n")


def cases():
    both = {"redis": redis, "redis with a volume": redis_append_only, "http server": http, "udp": udp, "no network": no_network,
            "redis over TAP": redis_over_tap}
    return [("conform/%s/%s" % (name, on), functools.partial(fn, on)) for name, fn in both.items() for on in ("kvm", "qemu")] + [
        ("conform/redis/qemu:q35", functools.partial(redis, "qemu:q35"))]
