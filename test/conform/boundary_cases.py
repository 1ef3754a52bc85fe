# SPDX-License-Identifier: ISC
"""What crosses the edge of a platform: ends, signals, streams, memory, volumes, a disk, crash reports; Linux is the oracle."""
import functools
import hashlib
import os
import random
import re
import signal
import subprocess

import harness
import vm
from harness import BUILD, Running, command, expect, pith, run_command
from vm import GUEST

CRASHES = os.path.join(BUILD, "guest/integration/crashes")


def guest(on, args, options=(), **kw):
    vm.need(on)
    return pith([vm.images[GUEST]] + [str(a) for a in args], ["--on", on] + list(options), **kw)


def same(on, args, **kw):
    host = run_command([GUEST] + [str(a) for a in args], **kw)
    ours = guest(on, args, **kw)
    assert (ours.code, ours.out) == (host.code, host.out), "host %r, pith %r" % (host, ours)


# ---- ends and signals ----

def ends(on):
    for code in (0, 1, 42, 125, 255):
        same(on, ["exit", code])
    for signo in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, signal.SIGUSR1):
        same(on, ["raise", int(signo)])


def talk_signals(cmd, signals, text):
    """Send each signal when the one before has been told of; what was said, and the exit code."""
    with Running(cmd) as p:
        p.wait_text("ready\n")
        for s in signals:
            p.p.send_signal(s)
            if text:
                p.wait_text("signal %d\n" % s)
        return p.wait_code(), p.text()


def signals(on, mode, which, text=True):
    vm.need(on)
    host = talk_signals([GUEST, mode], which, text)
    ours = talk_signals(command([vm.images[GUEST], mode], ["--on", on]), which, text)
    assert ours == host, "host %r, pith %r" % (host, ours)


def killed(on):
    """The machine does not outlive who started it."""
    vm.need(on)
    with Running(command([vm.images[GUEST], "compute"], ["--on", on])) as p:
        p.wait_text("ready\n")
        others = p.processes() - {p.p.pid}
        assert others, "there is no process but pith"
        p.p.kill()
        assert p.wait_code() == 137
        harness.wait_until(lambda: all((harness.proc_stat(q) or {"state": "Z"})["state"] == "Z" for q in others),
                           "the processes of the instance end")


# ---- streams ----

def streams(on):
    same(on, ["echo"], stdin=b"")
    same(on, ["echo"], stdin=random.Random(3).randbytes(700001))
    vm.need(on)
    # Input that nobody reads and that does not end keeps nothing alive.
    r, w = os.pipe()
    with Running(command([vm.images[GUEST], "exit", "3"], ["--on", on]), stdin=r) as p:
        os.close(r)
        os.write(w, b"unread\n")
        assert p.wait_code() == 3, p.text()
    os.close(w)


def dialogue(on):
    """Each line is answered before the next is there, and the input does not end."""
    vm.need(on)
    with Running(command([vm.images[GUEST], "lines"], ["--on", on]), stdin=subprocess.PIPE) as p:
        p.wait_text("ready\n")
        for n, text in enumerate((b"first", b"second one", b"x" * 150), 1):
            p.p.stdin.write(text + b"\n")
            p.p.stdin.flush()
            p.wait_text("line %d: %s\n" % (n, text.decode()))
            p.wait_text("heard %d\n" % n)
        p.p.stdin.write(b"end\n")
        p.p.stdin.flush()
        p.wait_text("over\n")
        assert p.wait_code() == 3, p.text()
        p.p.stdin.close()


def slowly_read(on, args):
    """Much output to one who reads slowly at first: all of it arrives."""
    vm.need(on)
    want = subprocess.run([GUEST] + args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p = subprocess.Popen(command([vm.images[GUEST]] + args, ["--on", on]), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         start_new_session=True)
    try:
        got = b"".join(p.stdout.read(7) for _ in range(5000))  # the pipe and all behind it are full by then
        got += p.stdout.read()
        assert hashlib.sha256(got).digest() == hashlib.sha256(want.stdout).digest(), "%d of %d bytes" % (len(got), len(want.stdout))
        assert p.wait(20) == want.returncode in (5, 6)
    finally:
        harness.end_group(p)
        p.stdout.close()


# ---- memory ----

def memory_limit(on, mode):
    """Too much is an error to the program, or its end with a line; enough is enough."""
    r = guest(on, [mode, 300], ["-m", "128m"])
    assert "got" not in r.out, r
    if r.code == 3:
        assert re.match(r"errno (12|28)\n", r.out), r  # ENOMEM; ENOSPC for a file
    else:
        assert r.code == 137 and re.search(r"^pith: .*memory", r.err) and len(r.err.splitlines()) == 1, r
    expect(guest(on, [mode, 40], ["-m", "128m"]), has="got")


# ---- a crash ----

def crash(on, mode, signo):
    vm.need(on)
    r = pith([vm.images[CRASHES], mode], ["--on", on])
    assert r.code == 128 + signo and r.out == "start\n", r
    lines = r.err.splitlines()
    assert "crashes (thread 1) killed by signal %d" % signo in lines[0], r
    assert any(re.match(r"  (at|called from) 0x[0-9a-f]+ main\+0x[0-9a-f]+ \(.*crashes\)", n) for n in lines), "no symbol: " + r.err


def library_os_crash(on):
    """A fault in the library OS is told with its functions' names, and ends the instance."""
    r = guest(on, ["library-os"])
    assert r.code == 139 and "fault in the library OS" in r.err and re.search(r"0x[0-9a-f]+ arch_gate\+0x", r.err), r


# ---- volumes ----

def tree(d):
    """Every name below, with what it is and holds."""
    found = {}
    for base, dirs, files in os.walk(d):
        for n in dirs + files:
            path = os.path.join(base, n)
            st = os.lstat(path)
            what = os.readlink(path) if os.path.islink(path) else "" if os.path.isdir(path) else open(path, "rb").read()
            found[os.path.relpath(path, d)] = (oct(st.st_mode), what)
    return found


def volume(on):
    vm.need(on)
    ours, theirs = vm.images.scratch(), vm.images.scratch()
    for d in (ours, theirs):
        with open(d + "/given", "w") as f:
            f.write("given")
        os.mkdir(d + "/sub")
    host = run_command([GUEST, "volume", theirs])
    r = guest(on, ["volume", "/data"], ["-v", ours + ":/data"])
    a, b = host.out.splitlines(), r.out.splitlines()
    assert a == b, "host and pith: %r; %r" % ([p for p in zip(a, b) if p[0] != p[1]][:5], r)
    assert r.code == host.code == 0, r
    a, b = tree(theirs), tree(ours)
    differ = [(n, str(a.get(n))[:80], str(b.get(n))[:80]) for n in a.keys() | b.keys() if a.get(n) != b.get(n)]
    assert not differ, "left behind: %r" % differ[:5]


def volume_read_only(on):
    vm.need(on)
    d = vm.images.scratch()
    with open(d + "/given", "w") as f:
        f.write("given")
    before = tree(d)
    r = expect(guest(on, ["read-only", "/data"], ["-v", d + ":/data:ro"]))
    lines = r.out.splitlines()
    assert lines[:5] == ["chdir(a[0]): 0", "entry .", "entry ..", "entry given", 'open("given", O_RDONLY) >= 0: 1'], r
    assert len(lines) == 14 and all(n.endswith(": errno 30") for n in lines[5:]), r  # EROFS
    assert tree(d) == before


def two_volumes(on):
    """Each volume is its own, and what is outside of it is out of reach."""
    vm.need(on)
    a, b = vm.images.scratch(), vm.images.scratch()
    for d, text in ((a, "first"), (b, "second")):
        with open(d + "/name", "w") as f:
            f.write(text)
    os.symlink(b + "/name", a + "/out")
    options = ["--on", on, "-v", a + ":/a", "-v", b + ":/b:ro"]
    busybox = vm.images["/bin/busybox", "true"]
    expect(pith([busybox, "cat", "/a/name", "/b/name"], options), out="firstsecond")
    r = pith([busybox, "cat", "/a/out", "/a/../" + b.lstrip("/") + "/name"], options)
    assert r.code != 0 and r.out == "", r
    assert pith([busybox, "cp", "/a/name", "/b/copy"], options).code != 0 and os.listdir(b) == ["name"]
    expect(pith([busybox, "cp", "/b/name", "/a/copy"], options))
    assert open(a + "/copy").read() == "second"


# ---- a disk ----

def disk_file():
    path = vm.images.scratch() + "/disk"
    with open(path, "wb") as f:
        f.write(random.Random(4).randbytes(1 << 20))
    return path


def disk(on):
    vm.need(on)
    ours = disk_file()
    theirs = disk_file()
    host = run_command([GUEST, "disk", theirs])
    r = guest(on, ["disk", "/dev/vda"], ["--disk", ours])
    assert (r.code, r.out) == (host.code, host.out), "host %r, pith %r" % (host, r)
    assert open(ours, "rb").read() == open(theirs, "rb").read(), "what is on the disk differs"


def disk_read_only(on):
    vm.need(on)
    path = disk_file()
    before = open(path, "rb").read()
    host = run_command([GUEST, "disk-read-only", disk_file()])
    r = expect(guest(on, ["disk-read-only", "/dev/vda"], ["--disk", path + ":ro"]))
    assert r.out.splitlines()[:3] == host.out.splitlines()[:3] and r.out.endswith("refused\n"), "host %r, pith %r" % (host, r)
    assert open(path, "rb").read() == before


def cases():
    every = {
        "exit codes and signals": ends,
        "a signal from outside": lambda on: signals(on, "wait", [signal.SIGUSR1, signal.SIGINT, signal.SIGHUP, signal.SIGTERM]),
        "a signal to one that computes": lambda on: signals(on, "compute", [signal.SIGINT, signal.SIGUSR2, signal.SIGTERM]),
        "SIGTERM ends one that computes": lambda on: signals(on, "compute-default", [signal.SIGTERM], text=False),
        "SIGINT ends one that computes": lambda on: signals(on, "compute-default", [signal.SIGINT], text=False),
        "SIGKILL of pith": killed,
        "standard input": streams,
        "dialogue": dialogue,
        "megabytes of output": lambda on: slowly_read(on, ["pour", "4"]),
        "many short writes": lambda on: slowly_read(on, ["drip", "60000"]),
        "memory limit, pages": lambda on: memory_limit(on, "memory"),
        "memory limit, one piece": lambda on: memory_limit(on, "piece"),
        "memory limit, a file": lambda on: memory_limit(on, "file"),
        "crash, illegal instruction": lambda on: crash(on, "illegal", 4),
        "crash, own code written": lambda on: crash(on, "own-code", 11),
        "crash, division": lambda on: crash(on, "divide", 8),
        "crash, library OS": library_os_crash,
        "volume": volume,
        "volume, read-only": volume_read_only,
        "two volumes": two_volumes,
        "disk": disk,
        "disk, read-only": disk_read_only,
    }
    return [("conform/%s/%s" % (name, on), functools.partial(fn, on)) for name, fn in every.items() for on in vm.PLATFORMS]
