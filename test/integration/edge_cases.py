# SPDX-License-Identifier: ISC
"""Errors, crashes, volumes, signals and what is left behind."""
import os
import pty
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import harness
from harness import BUILD, PITH, Running, command, expect, free_port, pith, run_command, wait_until

CRASHES = os.path.join(BUILD, "guest/integration/crashes")
BUSYBOX = "/bin/busybox"


def one_line(r, code):
    """Pith's own error: nothing on standard output, one line that says what to do."""
    assert r.code == code, "exit code %s, expected %s: %r" % (r.code, code, r)
    assert r.out == "", "standard output %r" % r.out
    assert len(r.err.splitlines()) == 1 and len(r.err) < 500, "not one line: %r" % r.err
    return r


def errors(report, d):
    def made(name, data, mode=0o755):
        with open(os.path.join(d, name), "wb") as f:
            f.write(data)
        os.chmod(os.path.join(d, name), mode)
        return os.path.join(d, name)

    elf = open("/bin/busybox", "rb").read()
    dynamic = open("/usr/bin/lua5.4", "rb").read()
    arm = bytearray(elf[:4096])
    arm[18] = 183
    cases = {
        "no such program": ([d + "/none"], (), 127),
        "empty file": ([made("empty", b"")], (), 126),
        "not ELF": ([made("text", b"just text\n")], (), 126),
        "wrong machine": ([made("arm", bytes(arm))], (), 126),
        "32 bit": ([made("elf32", elf[:4] + b"\x01" + elf[5:4096])], (), 126),
        "truncated header": ([made("cut", elf[:40])], (), 126),
        "truncated segments": ([made("cut2", elf[:70000])], (), 126),
        "missing interpreter": ([made("nointerp", dynamic.replace(b"/lib64/ld-linux-x86-64.so.2", b"/lib64/ld-nothere-86-64.so.2"[:27]))], (), 127),
        "not executable": ([made("plain", elf, 0o644)], (), 126),
        "a directory": ([d], (), 126),
        "no such volume": ([BUSYBOX, "true"], ("-v", "/nonexistent-dir:/x"), 125),
        "volume is a file": ([BUSYBOX, "true"], ("-v", "/etc/passwd:/x"), 125),
        "relative volume target": ([BUSYBOX, "true"], ("-v", "/tmp:x"), 125),
        "bad port": ([BUSYBOX, "true"], ("-p", "notaport:80"), 125),
        "port out of range": ([BUSYBOX, "true"], ("-p", "70000:80"), 125),
        "bad memory": ([BUSYBOX, "true"], ("-m", "lots"), 125),
        "memory too small": ([BUSYBOX, "true"], ("-m", "64k"), 125),
        "bad net": ([BUSYBOX, "true"], ("--net", "wormhole"), 125),
        "no such TAP": ([BUSYBOX, "true"], ("--net", "tap=thereisnosuchtap0,ip=10.1.1.2/24"), 125),
        "unknown option": ([BUSYBOX, "true"], ("--frobnicate",), 125),
        "bad environment": ([BUSYBOX, "true"], ("-e", "=x"), 125),
        "no program": ([], (), 125),
    }
    for name, (args, options, code) in cases.items():
        report.test("errors/" + name, lambda: one_line(pith(args, options), code))

    def missing_library():
        assert b"libreadline.so.8" in dynamic
        r = pith([made("nolib", dynamic.replace(b"libreadline.so.8", b"libnothere.so.88"))])
        assert r.code == 127 and r.out == "" and "libnothere" in r.err and len(r.err.splitlines()) == 1, r
    report.test("errors/missing library", missing_library)

    def fuzzed_elf():
        import random
        rng = random.Random(7)
        for i in range(60):
            bad = bytearray(elf[:200000] if i % 2 else elf)
            for _ in range(rng.randrange(1, 8)):
                bad[rng.randrange(0, 600)] = rng.randrange(256)
            path = made("fuzz", bytes(bad))
            p = Running(command([path, "true"], ["-m", "128m"]))
            with p:
                try:
                    p.p.wait(10)
                except subprocess.TimeoutExpired:
                    continue  # a program that loops is not an error of ours
                assert "assert" not in p.text().lower(), "seed %d: %r" % (i, p.text())
    report.test("errors/ELF files with random bytes", fuzzed_elf)

    def port_in_use():
        with socket.create_server(("127.0.0.1", 0)) as s:
            r = one_line(pith([BUSYBOX, "true"], ["-p", "127.0.0.1:%d:80" % s.getsockname()[1]]), 125)
            assert "in use" in r.err, r
    report.test("errors/port in use", port_in_use)

    def usage():
        assert "pith run" in expect(run_command([PITH, "help"])).out
        expect(run_command([PITH, "--version"]), has="pith")
        r = run_command([PITH, "nonsense"])
        assert r.code == 125 and len(r.err.splitlines()) <= 2, r
    report.test("errors/usage", usage)

    def unprivileged():
        if os.geteuid() != 0:
            raise harness.Skip("is not root anyway")
        r = run_command(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + command([BUSYBOX, "echo", "hi"]),
                        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
        expect(r, out="hi\n")
    report.test("run/as nobody, without a home", unprivileged)

    def no_tap_right():
        if os.geteuid() != 0:
            raise harness.Skip("is not root anyway")
        r = run_command(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] +
                        command([BUSYBOX, "true"], ["--net", "tap=pithnone0,ip=10.1.1.2/24"]), env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"})
        one_line(r, 125)
    report.test("errors/no right to the TAP device", no_tap_right)


def crashes(report):
    for mode, code in (("jump", 139), ("jump-null", 139), ("overflow", 139), ("thread-overflow", 139), ("own-code", 139),
                       ("os-code", 139), ("gate", 139), ("stack-exec", 139), ("heap-exec", 139), ("illegal", 132), ("divide", 136)):
        def crash():
            r = pith([CRASHES, mode])
            assert r.code == code and r.out == "start\n", r
            assert "killed by signal %d" % (code - 128) in r.err and len(r.err.splitlines()) > 1, "no report: %r" % r.err
        report.test("crash/" + mode, crash)
    report.test("crash/W and X", lambda: expect(pith([CRASHES, "wx-map"]), out="start\nrefused\n"))


def volumes(report, d):
    vol = os.path.join(d, "vol")
    os.mkdir(vol)
    os.mkdir(vol + "/sub")
    secret = os.path.join(d, "secret")
    for path, text in ((secret, "SECRET"), (vol + "/inside", "inside"), (vol + "/sub/file", "file")):
        with open(path, "w") as f:
            f.write(text)
    os.symlink(secret, vol + "/abs")
    os.symlink("../secret", vol + "/rel")
    os.symlink("..", vol + "/up")
    os.symlink("/etc", vol + "/etc")
    os.symlink("sub/file", vol + "/good")
    os.symlink("/proc/self/root", vol + "/magic")
    option = ["-v", vol + ":/vol"]

    def cat(path, options=option):
        return pith([BUSYBOX, "cat", path], options)

    report.test("volume/read", lambda: expect(cat("/vol/inside"), out="inside"))
    report.test("volume/link inside", lambda: expect(cat("/vol/good"), out="file"))
    for path in ("/vol/../secret", "/vol/abs", "/vol/rel", "/vol/up/secret", "/vol/sub/../../secret", "/vol/etc/shadow",
                 "/vol/magic" + secret, secret, "/vol/sub/../up/secret", "/vol//..//" + os.path.basename(d) + "/secret"):
        def confined():
            r = cat(path)
            assert "SECRET" not in r.out and "root:" not in r.out, "left the volume: %r" % r
            assert r.code != 0, r
        report.test("volume/confined " + path.replace(d, "DIR"), confined)

    def writes():
        expect(pith([BUSYBOX, "cp", "/vol/inside", "/vol/copy"], option))
        assert open(vol + "/copy").read() == "inside"
        expect(pith([BUSYBOX, "mv", "/vol/copy", "/vol/sub/moved"], option))
        assert open(vol + "/sub/moved").read() == "inside"
        expect(pith([BUSYBOX, "mkdir", "/vol/newdir"], option))
        expect(pith([BUSYBOX, "rm", "-r", "/vol/newdir", "/vol/sub/moved"], option))
        assert sorted(os.listdir(vol + "/sub")) == ["file"] and not os.path.exists(vol + "/newdir")
        expect(pith([BUSYBOX, "dd", "if=/dev/zero", "of=/vol/big", "bs=1M", "count=30"], option))
        assert os.stat(vol + "/big").st_size == 30 << 20
        os.unlink(vol + "/big")
    report.test("volume/write, rename, remove", writes)

    def read_only():
        for args in (["touch", "/vol/new"], ["rm", "/vol/inside"], ["mkdir", "/vol/d"], ["mv", "/vol/inside", "/vol/x"],
                     ["chmod", "777", "/vol/inside"], ["dd", "if=/dev/zero", "of=/vol/inside", "count=1"],
                     ["ln", "-s", "x", "/vol/l"], ["truncate", "-s", "1", "/vol/inside"]):
            r = pith([BUSYBOX] + args, ["-v", vol + ":/vol:ro"])
            assert r.code != 0, "%s worked on a read-only volume" % args
        assert open(vol + "/inside").read() == "inside" and not os.path.exists(vol + "/new")
    report.test("volume/read-only", read_only)

    def write_through_link():
        pith([BUSYBOX, "cp", "/vol/inside", "/vol/rel"], option)
        pith([BUSYBOX, "sh", "-c", "echo bad > /vol/abs; echo bad > /vol/up/secret; echo bad > /vol/up/new"], option)
        assert open(secret).read() == "SECRET" and not os.path.exists(d + "/new")
    report.test("volume/no write through a link outside", write_through_link)


def files_of_pith():
    """Other programs of the machine make files there too; what Pith makes has its name."""
    return {n for d in ("/tmp", "/dev/shm") for n in os.listdir(d) if n.startswith("pith")}


def left_behind(before, files):
    wait_until(lambda: harness.pith_processes() <= before, "no process of Pith is left")
    now = files_of_pith()
    assert now <= files, "files left: %s" % (now - files)


SERVER = ["/usr/bin/python3", "-u", "-c",
          "import socket, time\ns = socket.create_server(('0.0.0.0', 7000))\nprint('ready')\n"
          "while True:\n c, _ = s.accept(); c.sendall(b'served'); c.close()"]


def ends(report):
    def ended_by(what):
        port = free_port()
        before = harness.pith_processes()
        files = files_of_pith()
        with Running(command(SERVER, ["-p", "127.0.0.1:%d:7000" % port])) as p:
            p.wait_text("ready")
            with harness.connect(port) as c:
                assert c.recv(10) == b"served"
            what(p)
            code = p.wait_code()
            left_behind(before, files)
            with socket.create_server(("127.0.0.1", port)):
                pass  # the port is free again
            return code

    def by_signal(sig, code):
        got = ended_by(lambda p: p.p.send_signal(sig))
        assert got == code, "exit code %s" % got
    # python turns SIGINT into KeyboardInterrupt and then dies of SIGINT.
    report.test("ends/SIGTERM", lambda: by_signal(signal.SIGTERM, 143))
    report.test("ends/SIGINT", lambda: by_signal(signal.SIGINT, 130))
    report.test("ends/SIGKILL of the tender", lambda: by_signal(signal.SIGKILL, 137))

    def by_death_of(index):
        def kill(p):
            others = sorted(p.processes() - {p.p.pid})
            if index >= len(others):
                raise harness.Skip("there are only %d processes" % (len(others) + 1))
            os.kill(others[index], signal.SIGKILL)
            if harness.proc_stat(others[index]) and p.p.poll() is None:
                # A cage whose network helper died goes on without one; then it is ended in the usual way.
                try:
                    p.p.wait(2)
                except subprocess.TimeoutExpired:
                    p.p.terminate()
        ended_by(kill)
    for i in range(4):
        report.test("ends/SIGKILL of process %d" % (i + 2), lambda: by_death_of(i))

    def ctrl_c():
        before = harness.pith_processes()
        pid, fd = pty.fork()
        if pid == 0:
            os.execv(PITH, command(SERVER))
        out = b""
        while b"ready" not in out:
            out += os.read(fd, 1000)
        os.write(fd, b"\x03")
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end and os.read(fd, 1000):
                pass
        except OSError:
            pass  # the terminal's last user is gone
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        code = os.waitstatus_to_exitcode(status)
        assert code in (130, -2), "exit code %s" % code
        wait_until(lambda: harness.pith_processes() <= before, "no process of Pith is left")
    report.test("ends/Ctrl-C", ctrl_c)

    def handled():
        text = ("import signal, sys\nsignal.signal(signal.SIGTERM, lambda *a: (print('cleanup'), sys.exit(9)))\n"
                "print('ready')\nwhile True: signal.pause()")
        with Running(command(["/usr/bin/python3", "-u", "-c", text])) as p:
            p.wait_text("ready")
            p.p.terminate()
            assert p.wait_code() == 9 and "cleanup" in p.text(), p.text()
    report.test("ends/the program handles SIGTERM", handled)

    def closed_output():
        p = subprocess.Popen(command([BUSYBOX, "yes"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        p.stdout.read(100)
        p.stdout.close()
        try:
            p.wait(20)
        except subprocess.TimeoutExpired:
            harness.end_group(p)
            raise AssertionError("yes goes on although nobody reads")
        finally:
            p.stderr.close()
    report.test("ends/nobody reads the output", closed_output)
    for code in (0, 1, 42, 125, 255):
        report.test("ends/exit code %d" % code, lambda: expect(pith([BUSYBOX, "sh", "-c", "exit %d" % code]), code=code))

    def memory_limit():
        r = pith(["/usr/bin/python3", "-c", "x = b'x' * (300 << 20); print('got it')"], ["-m", "128m"])
        assert "got it" not in r.out and r.code not in (0, 125), r
        expect(pith(["/usr/bin/python3", "-c", "x = b'x' * (50 << 20); print('got it')"], ["-m", "256m"]), out="got it\n")
    report.test("run/memory limit", memory_limit)
    report.test("run/environment and directory", lambda: expect(
        pith([BUSYBOX, "sh", "-c", "echo $NAME; pwd"], ["-e", "NAME=a b", "-w", "/tmp"]), out="a b\n/tmp\n"))


def run(report):
    d = tempfile.mkdtemp(prefix="pith-edge-")
    os.chmod(d, 0o755)
    try:
        errors(report, d)
        crashes(report)
        volumes(report, d)
    finally:
        shutil.rmtree(d)
    ends(report)
