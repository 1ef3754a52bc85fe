# SPDX-License-Identifier: ISC
"""A program that was taken over gets nothing beyond the manifest.

The oracle is the outside: a secret file that must not be read, a directory in which nothing may appear, a process
that must not be signalled, a port that must not be reached, and no process more than the cage's own.
"""
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import harness
from harness import BUILD, pith
from image import Image

HOSTILE = os.path.join(BUILD, "guest/hostile/hostile")
SYS = {"read": 0, "write": 1, "open": 2, "socket": 41, "connect": 42, "clone": 56, "fork": 57, "vfork": 58, "execve": 59,
       "kill": 62, "mkdir": 83, "unlink": 87, "chmod": 90, "ptrace": 101, "mount": 165, "openat": 257, "mmap": 9,
       "mprotect": 10, "munmap": 11, "mremap": 25, "prctl": 157, "seccomp": 317, "io_uring_setup": 425, "bpf": 321,
       "memfd_create": 319, "process_vm_readv": 310, "perf_event_open": 298, "userfaultfd": 323, "setns": 308,
       "unshare": 272, "clone3": 435, "pidfd_open": 434, "openat2": 437, "name_to_handle_at": 303, "keyctl": 250,
       "shmat": 30, "shmget": 29, "modify_ldt": 154, "arch_prctl": 158, "personality": 135, "sethostname": 170}


class World:
    """What must stay as it is."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="pith-hostile-")
        self.secret = os.urandom(8).hex()
        with open(self.dir + "/secret", "w") as f:
            f.write(self.secret)
        self.sentinel = subprocess.Popen(["sleep", "1000"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.before = harness.pith_processes()
        return self

    def __exit__(self, *_):
        self.sentinel.kill()
        self.sentinel.wait()
        self.listener.close()
        shutil.rmtree(self.dir)

    def check(self, r):
        assert self.secret not in r.out + r.err, "the secret was read: %r" % r
        assert os.listdir(self.dir) == ["secret"], "something was made: %r" % os.listdir(self.dir)
        assert open(self.dir + "/secret").read() == self.secret, "the secret was written"
        assert os.stat(self.dir + "/secret").st_mode & 0o777 == 0o644, "mode changed"
        assert self.sentinel.poll() is None, "the sentinel was killed"
        try:
            self.listener.accept()
            raise AssertionError("the host's loopback was reached")
        except BlockingIOError:
            pass
        harness.wait_until(lambda: harness.pith_processes() <= self.before, "all processes of the cage gone")


def attempts(w):
    path = "path:" + w.dir
    s = SYS
    return {
        "open": [s["open"], path + "/secret", 0], "openat": [s["openat"], -100, path + "/secret", 0],
        "openat creates": [s["openat"], -100, path + "/new", 0o101, 0o644],
        "openat2": [s["openat2"], -100, path + "/secret", "buf", 24],
        "mkdir": [s["mkdir"], path + "/new", 0o755], "unlink": [s["unlink"], path + "/secret"],
        "chmod": [s["chmod"], path + "/secret", 0o777], "socket": [s["socket"], 2, 1, 0],
        "connect 3": [s["connect"], 3, "inet:%d" % w.port, 16],
        "fork": [s["fork"]], "vfork": [s["vfork"]], "clone": [s["clone"], 17], "clone thread": [s["clone"], 0x10f00, "buf"],
        "clone3": [s["clone3"], "buf", 88],
        "execve": [s["execve"], "path:/bin/sh", "argv", 0, 0, 0, "touch %s/new" % w.dir],
        "kill": [s["kill"], w.sentinel.pid, 9], "ptrace": [s["ptrace"], 16, w.sentinel.pid],
        "process_vm_readv": [s["process_vm_readv"], w.sentinel.pid, "buf", 1, "buf", 1],
        "mount": [s["mount"], path, path, 0, 4096], "unshare": [s["unshare"], 0x10000000],
        "setns": [s["setns"], 3, 0], "io_uring": [s["io_uring_setup"], 4, "buf"], "bpf": [s["bpf"], 0, "buf", 64],
        "memfd": [s["memfd_create"], "path:x", 0], "perf": [s["perf_event_open"], "buf", 0, -1, -1, 0],
        "userfaultfd": [s["userfaultfd"], 0], "keyctl": [s["keyctl"], 0, -3, 0], "shmget": [s["shmget"], 0, 4096, 0o1777],
        "pidfd": [s["pidfd_open"], w.sentinel.pid, 0], "prctl dumpable": [s["prctl"], 4, 1],
        "seccomp": [s["seccomp"], 1, 0, "buf"], "personality": [s["personality"], 0x40000],
        "modify_ldt": [s["modify_ldt"], 1, "buf", 16],
        "mmap rwx": [s["mmap"], 0, 4096, 7, 0x22, -1, 0], "mmap over the OS": [s["mmap"], "os", 4096, 3, 0x32, -1, 0],
        "mprotect OS writable": [s["mprotect"], "os", 4096, 3], "mprotect gate": [s["mprotect"], 0x10000, 4096, 3],
        "mprotect rwx": [s["mprotect"], 0x400000, 4096, 7], "munmap OS": [s["munmap"], "os", 4096],
        "mremap OS": [s["mremap"], "os", 4096, 8192, 1], "munmap gate": [s["munmap"], 0x10000, 4096],
    }


def symbols():
    """Offsets of the library OS's functions."""
    out = subprocess.run(["nm", BUILD + "/libos.elf"], capture_output=True, text=True, check=True).stdout
    return {f[2]: int(f[0], 16) for f in map(str.split, out.splitlines()) if len(f) == 3}


def forged_image(code, directory):
    """An image whose library OS begins with other instructions."""
    at = symbols()["proc_start"]
    path = directory + "/forged.pith"
    harness.expect(harness.run_command([harness.PITH, "build", "-o", path, "/bin/true"]))
    forged = Image(path)
    forged.bytes[at:at + len(code)] = code  # text stands in the file where it stands in memory
    with open(path, "wb") as f:
        f.write(forged.add_up().bytes)
    return path


# What would come back from the host if it had granted the call: a descriptor, a process, an address.
def granted(r):
    return [line for line in r.out.splitlines() if line.startswith("call ") and int(line.split()[-1]) >= 0]


def escape(report):
    spec = importlib.util.spec_from_file_location("escape_cases", os.path.dirname(os.path.abspath(__file__)) + "/escape_cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.run(report)


def run(report):
    escape(report)

    def stubs():
        r = harness.expect(pith([HOSTILE, "scan"]))
        return int(r.out)

    with World() as w:
        try:
            count = stubs()
        except (AssertionError, OSError, ValueError) as e:
            report.count("hostile/scan", str(e))
            return
        report.count("hostile/scan")
        for name, call in attempts(w).items():
            def through_stub():
                for i in range(min(count, 4)):
                    r = pith([HOSTILE, "stub", i] + call)
                    w.check(r)
                    assert not granted(r), "the host granted %s: %r" % (name, r)
            report.test("hostile/stub/" + name, through_stub)

            def through_own():
                w.check(pith([HOSTILE, "own"] + call))
            if call[0] in (SYS["open"], SYS["openat"], SYS["execve"], SYS["fork"], SYS["socket"], SYS["kill"]):
                report.test("hostile/own/" + name, through_own)
        for mode, call in (("int80", [5, "path:" + w.dir + "/secret", 0]), ("int80", [2]), ("enter", [5, "path:x"])):
            report.test("hostile/%s/%s" % (mode, call[0]), lambda: w.check(pith([HOSTILE, mode] + call)))
        def forged(call):
            """exit(99) when the host gave something, else the filter's end."""
            nr, a, b, c = (call + [0, 0, 0])[:4]
            code = b"\xb8" + nr.to_bytes(4, "little")
            for op, v in ((b"\xbf", a), (b"\xbe", b), (b"\xba", c)):
                code += op + v.to_bytes(4, "little")
            code += bytes.fromhex("0f05 85c0 780c bf63000000 b8e7000000 0f05 bf2a000000 b8e7000000 0f05")
            with tempfile.TemporaryDirectory() as d:
                r = harness.run_command([harness.PITH, "run", "--net", "none", forged_image(code, d)])
            w.check(r)
            assert r.code == 128 + 31, "the library OS of an image got to the host: %r" % r
        for name in ("socket", "fork", "memfd_create", "kill", "prctl", "unshare"):
            report.test("hostile/image/" + name, lambda: forged([SYS[name], 2, 1]))

        def backtrace():
            at = symbols()
            r = pith([HOSTILE, "into", at["memset"] - at["arch_gate"]])
            assert r.code == 128 + 11 and "fault in the library OS" in r.err and " memset+0x" in r.err, r
        report.test("hostile/a fault in the library OS is told with its place", backtrace)

        def limited():
            """1 GiB of private or shared memory, with a limit of 64 MiB."""
            for flags in (0x4032, 0x4031):
                for i in range(min(count, 4)):
                    r = pith([HOSTILE, "stub", i, SYS["mmap"], 0x300000000000, 1 << 30, 3, flags, -1, 0], ["-m", "64m"])
                    assert not granted(r), "memory beyond the limit: %r" % r
        report.test("hostile/memory limit", limited)

        def seeded(mode, seeds, *more):
            """Most runs end at the first thing that the filter stops, so there are many."""
            for seed in seeds:
                # A jump into the middle of the OS may loop for ever there: then the cage is stopped from outside.
                with harness.Running(harness.command([HOSTILE, mode, seed] + list(more), ["--net", "none"])) as p:
                    try:
                        p.p.wait(2)
                    except subprocess.TimeoutExpired:
                        os.kill(p.p.pid, signal.SIGKILL)
                        p.p.wait(10)
                    r = harness.Result(p.p.returncode, p.text(), "")
                try:
                    w.check(r)
                except AssertionError as e:
                    raise AssertionError("seed %d: %s" % (seed, e))
        for turn in range(4):
            seeds = range(turn * 40 + 1, turn * 40 + 41)
            report.test("hostile/odd/%d" % turn, lambda: seeded("odd", seeds))
            report.test("hostile/smash/%d" % turn, lambda: seeded("smash", seeds))
            for i in range(min(count, 4)):
                report.test("hostile/calls/%d.%d" % (turn, i), lambda: seeded("calls", seeds, i))
