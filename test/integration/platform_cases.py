# SPDX-License-Identifier: ISC
"""The same image in a process, in a KVM machine, under QEMU: what a user sees is the same."""
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

import harness
from harness import BUILD, PITH, Running, Skip, expect, free_port, run_command

BUSYBOX = "/bin/busybox"
PLATFORMS = ("process", "kvm", "qemu", "qemu:q35")


def usable(on):
    """Raises Skip where this host cannot."""
    if on.startswith("qemu") and not shutil.which("qemu-system-x86_64"):
        raise Skip("qemu-system-x86_64 is not installed")
    if on == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("/dev/kvm cannot be opened")


def children_of(pid):
    return [int(d) for d in os.listdir("/proc") if d.isdigit() and (harness.proc_stat(int(d)) or {"ppid": 0})["ppid"] == pid]


def alive(pid):
    s = harness.proc_stat(pid)
    return s is not None and s["state"] not in "ZX"


def processor_ticks(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    except OSError:
        return 0


def pipe_full(pipe):
    """So that whoever writes to it waits: a page that is not whole may be free."""
    n = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]
    return n > 65536 - 2 * 4096


def cases(on, image, top):
    def cmd(args, options=()):
        return [PITH, "run", "--on", on, "--net", "none"] + list(options) + [image] + args

    def output():
        expect(run_command(cmd(["echo", "to the user"])), out="to the user\n")
        r = run_command(cmd(["ls", "/nonexistent"]))
        expect(r, code=1, out="", err_has="/nonexistent")

    def exit_code():
        for code in (0, 1, 77, 124, 200, 255):
            expect(run_command(cmd(["sh", "-c", "exit %d" % code])), code=code)

    def much():
        """More than any buffer between, both ways, byte for byte."""
        data = os.urandom(1 << 20) * 3
        p = subprocess.run(cmd(["cat"]), input=data, stdout=subprocess.PIPE, timeout=harness.LIMIT)
        assert p.returncode == 0 and p.stdout == data, "%d bytes of %d, exit %d" % (len(p.stdout), len(data), p.returncode)

    def no_input():
        with open("/dev/null") as null:
            p = subprocess.run(cmd(["cat"]), stdin=null, capture_output=True, timeout=harness.LIMIT)
        assert p.returncode == 0 and p.stdout == b"", p

    def reader_gone():
        p = subprocess.run(["sh", "-c", '"$@" | head -1', "sh"] + cmd(["yes"]), capture_output=True, timeout=harness.LIMIT)
        assert p.stdout == b"y\n", p

    def slow_reader():
        """Output waits for whoever does not read yet; nothing is lost."""
        p = subprocess.Popen(cmd(["seq", "1", "400000"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        harness.wait_until(lambda: pipe_full(p.stdout), "the pipe is full")
        used = []

        def waits():
            """Hardly any processor time in the last 20 looks: it only tries again now and then."""
            used.append(sum(processor_ticks(pid) for pid in children_of(p.pid)))
            return len(used) > 20 and used[-1] - used[-20] < 5
        harness.wait_until(waits, "the instance waits")
        out, err = p.communicate(timeout=harness.LIMIT)
        expected = b"".join(b"%d\n" % i for i in range(1, 400001))
        assert p.returncode == 0 and out == expected, "%d bytes, exit %s, %r" % (len(out), p.returncode, err)

    def reader_stands_still():
        """A signal, or a second one where what is written must wait for the reader, ends it all the same."""
        p = subprocess.Popen(cmd(["yes"]), stdout=subprocess.PIPE)
        try:
            harness.wait_until(lambda: pipe_full(p.stdout), "output stands still")
            p.terminate()
            if on != "process":
                harness.wait_until(lambda: not p.terminate() and p.poll() is not None, "the end")
            assert p.wait(harness.LIMIT) == 128 + signal.SIGTERM, p.returncode
        finally:
            p.kill()
            p.stdout.close()

    def wall_clock():
        before = time.time()
        r = expect(run_command(cmd(["date", "+%s"])))
        assert before - 2 < int(r.out) <= time.time(), (before, r.out, time.time())

    def clock_rate():
        """A second is a second, also on a host that wakes us late: the clock is asked for two seconds, by closest looks."""
        with subprocess.Popen(cmd(["sh", "-c", "while read x; do read up idle </proc/uptime; echo $up; done"]),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
            def look():
                before = time.monotonic()
                p.stdin.write(b"\n")
                p.stdin.flush()
                theirs = float(p.stdout.readline())
                after = time.monotonic()
                return after - before, (before + after) / 2, theirs
            looks = [look()]
            while looks[-1][1] < looks[0][1] + 2:
                looks.append(look())
            p.stdin.close()
        first = min(k for k in looks if k[1] < looks[0][1] + 0.5)
        last = min(k for k in looks if k[1] > looks[-1][1] - 0.5)
        rate = (last[2] - first[2]) / (last[1] - first[1])
        # /proc/uptime has hundredths of a second, and at least one second lies between the two.
        assert abs(rate - 1) < 0.02 + (first[0] + last[0]), "%.4f seconds in a second; %s %s" % (rate, first, last)

    def signals():
        # Not a shell that reads: busybox's takes SIGINT itself, and forgets one that comes just before its poll.
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with Running(cmd(["cat"]), stdin=subprocess.PIPE) as p:
                p.p.stdin.write(b"ready\n")
                p.p.stdin.flush()
                p.wait_text("ready")
                p.p.send_signal(signo)
                assert p.p.wait(harness.LIMIT) == 128 + signo, "exit %d after signal %d" % (p.p.returncode, signo)

    def handled():
        with Running(cmd(["sh", "-c", "trap 'echo caught; exit 9' TERM; echo ready; while :; do read x; done"]),
                     stdin=subprocess.PIPE) as p:
            p.wait_text("ready")
            p.p.send_signal(signal.SIGTERM)
            p.wait_text("caught")
            assert p.p.wait(harness.LIMIT) == 9, p.p.returncode

    def killed():
        """Nothing is left when the supervisor dies by force."""
        with Running(cmd(["sh", "-c", "echo ready; read x"]), stdin=subprocess.PIPE) as p:
            p.wait_text("ready")
            children = children_of(p.p.pid)
            assert children, "no child"
            p.p.kill()
            p.p.wait(harness.LIMIT)
            harness.wait_until(lambda: not any(alive(pid) for pid in children), "all processes gone")

    def stopped():
        """Ctrl-Z: the shell sees pith stopped, the instance stands still; both go on."""
        with Running(cmd(["sh", "-c", "echo ready; read x; echo got $x"]), stdin=subprocess.PIPE) as p:
            p.wait_text("ready")
            children = children_of(p.p.pid)
            p.p.send_signal(signal.SIGTSTP)
            harness.wait_until(lambda: {harness.proc_stat(pid)["state"] for pid in children + [p.p.pid]} == {"T"}, "all stopped")
            p.p.send_signal(signal.SIGCONT)
            p.p.stdin.write(b"line\n")
            p.p.stdin.flush()
            p.wait_text("got line")
            assert p.p.wait(harness.LIMIT) == 0

    def volume():
        d = tempfile.mkdtemp(dir=top)
        with open(d + "/in", "w") as f:
            f.write("from the host\n")
        expect(run_command(cmd(["sh", "-c", "read x </v/in; echo \"$x, and back\" >/v/out"], ["-v", d + ":/v"])))
        assert open(d + "/out").read() == "from the host, and back\n"
        r = run_command(cmd(["sh", "-c", "echo no >/v/new"], ["-v", d + ":/v:ro"]))
        assert r.code != 0 and not os.path.exists(d + "/new"), r

    def volumes_in_order():
        opts = []
        for i in range(3):
            d = tempfile.mkdtemp(dir=top)
            with open(d + "/name", "w") as f:
                f.write("%d\n" % i)
            opts += ["-v", "%s:/v%d" % (d, i)]
        expect(run_command(cmd(["cat", "/v0/name", "/v1/name", "/v2/name"], opts)), out="0\n1\n2\n")

    def disk():
        path = top + "/disk-" + on.replace(":", "-")
        with open(path, "wb") as f:
            f.write(b"begin" + bytes((1 << 20) - 5))
        expect(run_command(cmd(["dd", "if=/dev/vda", "bs=5", "count=1"], ["--disk", path + ":ro"])), out="begin")
        expect(run_command(cmd(["sh", "-c", "echo -n written >/dev/vda"], ["--disk", path])))
        assert open(path, "rb").read(7) == b"written"
        r = run_command(cmd(["sh", "-c", "echo -n more >/dev/vda"], ["--disk", path + ":ro"]))
        assert r.code != 0 and open(path, "rb").read(7) == b"written", r

    def published():
        port = free_port()
        server = [PITH, "run", "--on", on, "-p", "127.0.0.1:%d:80" % port, "-v", top + ":/srv:ro", "/usr/bin/python3", "-m",
                  "http.server", "80", "--directory", "/srv"]
        with open(top + "/page", "w") as f:
            f.write("a page\n")
        with Running(server) as p:
            def get():
                r = run_command(["curl", "-sf", "--max-time", "1", "http://127.0.0.1:%d/page" % port])
                return r.out == "a page\n"
            harness.wait_until(get, "the page", 30)
            p.p.send_signal(signal.SIGTERM)
            assert p.p.wait(harness.LIMIT) == 128 + 15, p.p.returncode

    def library_os_fault():
        nm = subprocess.run(["nm", BUILD + "/libos.elf"], capture_output=True, text=True, check=True).stdout
        at = {f[2]: int(f[0], 16) for f in map(str.split, nm.splitlines()) if len(f) == 3}
        r = run_command([PITH, "run", "--on", on, "--net", "none", BUILD + "/guest/hostile/hostile", "into",
                         str(at["memset"] - at["arch_gate"])])
        assert r.code == 128 + 11 and " memset+0x" in r.err, r

    return {"output": output, "a fault in the library OS": library_os_fault, "exit code": exit_code, "much": much, "no input": no_input, "reader gone": reader_gone,
            "slow reader": slow_reader, "wall clock": wall_clock, "clock rate": clock_rate, "reader stands still": reader_stands_still,
            "signals": signals, "handled signal": handled, "killed": killed, "stopped": stopped, "volume": volume,
            "volumes in order": volumes_in_order, "disk": disk, "published port": published}


def run(report):
    top = tempfile.mkdtemp(prefix="pith-platform-")
    os.chmod(top, 0o755)
    image = top + "/bb.pith"
    try:
        for on in PLATFORMS:
            for name, fn in cases(on, image, top).items():
                def one():
                    usable(on)
                    if not os.path.exists(image):
                        expect(run_command([PITH, "build", "-o", image, BUSYBOX]))
                    fn()
                report.test("platform/%s/%s" % (on, name), one)
    finally:
        shutil.rmtree(top)
