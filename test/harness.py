# SPDX-License-Identifier: ISC
"""What the suites of test/ share: counting results, running pith, waiting for events, namespaces.

Nothing here sleeps where an event can be waited for: a wait polls its condition every 10 ms with a deadline.
"""
import ctypes
import fnmatch
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, "build")
PITH = os.path.join(BUILD, "pith")
LIMIT = 60  # seconds for one run: ten times what the slowest needs on a busy machine with two cores


class Skip(Exception):
    """The test cannot run here; the text says why."""


class Report:
    def __init__(self, patterns=()):
        self.patterns = patterns
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.lock = threading.Lock()
        self.reasons = None  # a set: tell each reason for a skip only once

    def wanted(self, name):
        return not self.patterns or any(fnmatch.fnmatch(name, p) for p in self.patterns)

    def count(self, name, why=None):
        with self.lock:
            if why is None:
                self.passed += 1
                return
            self.failed += 1
            self.failures.append(name)
            print("FAIL  %s: %s" % (name, why), flush=True)

    def skip(self, name, why):
        with self.lock:
            self.skipped += 1
            if self.reasons is not None and str(why) in self.reasons:
                return
            if self.reasons is not None:
                self.reasons.add(str(why))
            print("SKIP  %s: %s" % (name, why), flush=True)

    def test(self, name, fn):
        """Run fn; AssertionError and timeouts are failures, Skip a skip."""
        if not self.wanted(name):
            return
        started = time.monotonic()
        try:
            fn()
        except Skip as s:
            self.skip(name, s)
        except (AssertionError, subprocess.TimeoutExpired, OSError) as e:
            where = traceback.extract_tb(e.__traceback__)[1 if len(traceback.extract_tb(e.__traceback__)) > 1 else 0]
            self.count(name, "%s (%s:%d)" % (str(e)[-1500:] or type(e).__name__, os.path.basename(where.filename), where.lineno))
        else:
            self.count(name)
            took = time.monotonic() - started
            if took > 5:
                print("      %s took %.1f s" % (name, took), flush=True)


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return "exit %s, out %r, err %r" % (self.code, self.out[-600:], self.err[-600:])


def command(args, options=()):
    return [PITH, "run"] + list(options) + [str(a) for a in args]


def end_group(p):
    """Stop a process and all it started (it is the leader of a group of its own)."""
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_command(cmd, stdin=b"", limit=LIMIT, env=None, cwd=None):
    p = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=env, cwd=cwd, start_new_session=True)
    try:
        out, err = p.communicate(stdin, timeout=limit)
    except subprocess.TimeoutExpired:
        end_group(p)
        out, err = p.communicate()
        raise AssertionError("no end after %d s: %s; out %r err %r" % (limit, " ".join(cmd)[-200:], out[-400:], err[-400:]))
    code = p.returncode if p.returncode >= 0 else 128 - p.returncode
    return Result(code, out.decode(errors="replace"), err.decode(errors="replace"))


def pith(args, options=(), **kw):
    return run_command(command(args, options), **kw)


def expect(r, code=0, out=None, has=None, err_has=None):
    assert r.code == code, "exit code %s, expected %s: %r" % (r.code, code, r)
    if out is not None:
        assert r.out == out, "output %r, expected %r: %r" % (r.out, out, r)
    if has is not None:
        assert has in r.out, "no %r in %r" % (has, r)
    if err_has is not None:
        assert err_has in r.err, "no %r in %r" % (err_has, r)
    return r


def wait_until(condition, what, limit=20):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        v = condition()
        if v:
            return v
        time.sleep(0.01)
    raise AssertionError("not within %d s: %s" % (limit, what))


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Running:
    """A pith (or any) process in the background, in a group of its own; stopped at the end of the with block."""

    def __init__(self, cmd, stdin=subprocess.DEVNULL, env=None):
        self.log = os.memfd_create("log")
        self.p = subprocess.Popen(cmd, stdin=stdin, stdout=self.log, stderr=self.log, env=env, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.terminate()
            try:
                self.p.wait(10)
            except subprocess.TimeoutExpired:
                pass
        end_group(self.p)
        self.p.wait()
        os.close(self.log)

    def text(self):
        return os.pread(self.log, 1 << 20, 0).decode(errors="replace")

    def wait_text(self, text, limit=20):
        def seen():
            if self.p.poll() is not None and text not in self.text():
                raise AssertionError("ended with %s before %r: %r" % (self.p.returncode, text, self.text()[-800:]))
            return text in self.text()
        wait_until(seen, "%r in the output %r" % (text, self.text()[-300:]), limit)

    def wait_code(self, limit=20):
        try:
            code = self.p.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError("still running after %d s: %r" % (limit, self.text()[-800:]))
        return code if code >= 0 else 128 - code

    def processes(self):
        """Everything that this process started and that is still there (by session), itself included."""
        return session_processes(self.p.pid)


def proc_stat(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            s = f.read()
        name, rest = s[s.index("(") + 1:s.rindex(")")], s[s.rindex(")") + 2:].split()
        return {"name": name, "state": rest[0], "ppid": int(rest[1]), "session": int(rest[3])}
    except (OSError, ValueError):
        return None


def session_processes(leader):
    """Processes of the session, or descended from its leader, that are not zombies."""
    stats = {int(d): proc_stat(int(d)) for d in os.listdir("/proc") if d.isdigit()}
    found = set()
    for pid, s in stats.items():
        if s and s["state"] != "Z" and (s["session"] == leader or pid == leader):
            found.add(pid)
    grown = True
    while grown:
        grown = False
        for pid, s in stats.items():
            if s and s["state"] != "Z" and pid not in found and s["ppid"] in found:
                found.add(pid)
                grown = True
    return found


def pith_processes():
    """All processes on the machine whose program is this tree's pith or pith-net."""
    found = set()
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                exe = os.readlink("/proc/%s/exe" % d)
            except OSError:
                continue
            if exe.split(" (deleted)")[0] in (PITH, PITH + "-net"):
                found.add(int(d))
    return found


def can_tap():
    return os.geteuid() == 0 and os.path.exists("/dev/net/tun")


def need_tap():
    if not can_tap():
        raise Skip("needs root and /dev/net/tun")


class Namespace:
    """A network namespace with a TAP device for Pith: the host side is 10.9.0.1/24, the guest 10.9.0.2."""
    IP, GUEST = "10.9.0.1", "10.9.0.2"

    def __init__(self):
        need_tap()
        self.name = "pith-test-%d-%d" % (os.getpid(), int(time.monotonic() * 1000) % 100000)
        self.ip("netns", "add", self.name)

    def ip(self, *args):
        """A container may refuse to root what these need: then there is nothing to test."""
        r = run_command(["ip"] + list(args))
        if r.code != 0:
            subprocess.run(["ip", "netns", "del", self.name], stderr=subprocess.DEVNULL)
            raise Skip("no network namespace with a TAP device: " + r.err.strip().splitlines()[-1])

    def __enter__(self):
        for c in ("link set lo up", "tuntap add tap0 mode tap vnet_hdr", "addr add %s/24 dev tap0" % self.IP,
                  "link set tap0 up"):
            self.ip("-n", self.name, *c.split())
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", self.name])

    def cmd(self, args):
        return ["ip", "netns", "exec", self.name] + [str(a) for a in args]

    def net(self):
        return ["--net", "tap=tap0,ip=%s/24,gw=%s" % (self.GUEST, self.IP)]

    def pith(self, args, options=()):
        return self.cmd(command(args, self.net() + list(options)))


def connect(port, host="127.0.0.1", limit=20):
    """A connection, retried until something listens and answers."""
    def attempt():
        try:
            return socket.create_connection((host, port), timeout=5)
        except OSError:
            return None
    return wait_until(attempt, "a connection to %s:%d" % (host, port), limit)
