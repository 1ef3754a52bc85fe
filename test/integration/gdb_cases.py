# SPDX-License-Identifier: ISC
"""Debugging with gdb: `pith run --gdb`, `pith gdb`."""
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

import harness
from harness import BUILD, PITH, Running, command, expect, pith, run_command, wait_until

DEBUGGEE = os.path.join(BUILD, "guest/integration/debuggee")
KINDS = {"static": DEBUGGEE, "PIE": DEBUGGEE + "-pie", "static PIE": DEBUGGEE + "-static-pie"}
WAITING = re.compile(r"waiting for gdb on 127\.0\.0\.1:(\d+): pith gdb")


class Debugged(Running):
    """An instance that waits for gdb; self.port is where."""

    def __init__(self, on, args, stdin=subprocess.DEVNULL):
        super().__init__(command(args, ["--on", on, "--gdb", "0"]), stdin=stdin)
        self.program = args[0]

    def __enter__(self):
        self.wait_text("waiting for gdb on ")
        self.port = WAITING.search(self.text()).group(1)
        return self

    def gdb_command(self, commands):
        cmd = [PITH, "gdb", self.port, self.program, "--", "-nx", "-batch"]
        for c in commands:
            cmd += ["-ex", c]
        return cmd

    def gdb(self, *commands):
        r = run_command(self.gdb_command(commands))
        return r.out + r.err


def in_order(text, *parts):
    at = 0
    for p in parts:
        found = re.compile(p).search(text, at)
        assert found, "no %r after %r in %r" % (p, text[max(0, at - 100):at], text[-3000:])
        at = found.end()


def program_and_library_os(on, program):
    with Debugged(on, [program]) as d:
        text = d.gdb("break main", "continue", "backtrace", "break add_up", "continue", "finish", "print total",
                     "break sys_write", "continue", "backtrace", "stepi", "continue")
        in_order(text, r"Breakpoint 1, main \(argc=1, ", r"#0 +main \(", r"Breakpoint 2, add_up \(n=[^)]*10\)",
                 r"Value returned is .* = 55", r"= 55", r"Breakpoint 3, sys_write \(f=", r"#0 +sys_write \(f=", r"syscall_dispatch \(",
                 r"#\d+ .* in say \(text=.*\"done\\n\"\)", r"#\d+ .* in main \(", r"exited with code 07")
        assert d.wait_code() == 7, d.text()
        assert "done\n" in d.text()


TO_CALL = ("python while bytes(gdb.selected_inferior().read_memory(int(gdb.parse_and_eval('(long)$pc')), 2)) != b'\\x0f\\x05': "
           "gdb.execute('stepi', to_string=True)")


def steps_over_calls(on, program):
    """A step over a system call ends behind it, whatever the library OS did meanwhile."""
    with Debugged(on, [program]) as d:
        text = d.gdb("break say", "continue", "break write", "continue", TO_CALL,
                     "set $call = $pc", "stepi", "print $pc - $call", "print $rax", "continue")
        in_order(text, r"Breakpoint 1, say", r"\$1 = 2\b", r"\$2 = 5\b", r"exited with code 07")
        assert d.wait_code() == 7


def values_can_be_changed(on):
    # gdb's calls return to a breakpoint on the stack: a fault, and in a virtual machine faults are the library OS's.
    call = ["print add_up(3)"] if on == "process" else []
    with Debugged(on, [KINDS["PIE"]]) as d:
        text = d.gdb("break add_up", "continue", "set var n = 4", "watch total", "continue", "print total", "delete", *call, "continue")
        in_order(text, r"Breakpoint 1, add_up", r"Old value = 0\nNew value = 10", r"= 10", *[r"= 6"][:len(call)], r"exited with code 01")
        assert d.wait_code() == 1


def libraries_are_found(on):
    with Debugged(on, [KINDS["PIE"]]) as d:
        text = d.gdb("break main", "continue", "info sharedlibrary", "info symbol write", "continue")
        in_order(text, r"Yes[^\n]*ld-linux-x86-64", r"Yes[^\n]*libc\.so\.6", r"write in section \.text of [^\n]*libc\.so\.6")


def a_fault_stops_and_is_passed_on():
    with Debugged("process", [DEBUGGEE, "fault"]) as d:
        text = d.gdb("continue", "backtrace", "continue")
        in_order(text, r"received signal SIGSEGV", r"#0 .*in main \(", r"exited with code 0213")
        assert d.wait_code() == 139
        assert "killed by signal 11" in d.text()


def interrupted(on, mode, then):
    r, w = os.pipe()
    try:
        with Debugged(on, [DEBUGGEE, mode], stdin=r) as d:
            with Running(d.gdb_command(["continue", "backtrace"] + then + ["detach"])) as g:
                d.wait_text("waiting\n")
                g.p.send_signal(signal.SIGINT)
                g.wait_code()
                in_order(g.text(), r"received signal SIGINT", r"#0 ", r"detached")
            os.write(w, b"\x05")
            assert d.wait_code() == 5, d.text()
    finally:
        os.close(r)
        os.close(w)


def killed(on):
    before = harness.pith_processes()
    with Debugged(on, [DEBUGGEE, "wait"]) as d:
        d.gdb("break main", "continue", "kill")
        assert d.wait_code() == 137
    wait_until(lambda: harness.pith_processes() <= before, "no process of Pith is left")


def a_client_that_vanishes(on):
    """Without detaching: the breakpoint is taken out and the program goes on."""
    with Debugged(on, [DEBUGGEE]) as d:
        def packet(s, text):
            s.sendall(b"$%s#%02x" % (text, sum(text) & 255))
            got = b""
            while not re.search(rb"#..$", got):
                got += s.recv(4096)
            return got
        symbols = run_command(["nm", DEBUGGEE]).out
        address = re.search(r"^([0-9a-f]+) t add_up$", symbols, re.M).group(1).lstrip("0").encode()
        with socket.create_connection(("127.0.0.1", int(d.port))) as s:
            assert b"T05" in packet(s, b"?")
            assert b"OK" in packet(s, b"Z0,%s,1" % address)
            s.sendall(b"+")
            assert b"T05" in packet(s, b"c")
        assert d.wait_code() == 7, d.text()


def a_flood_of_garbage(on):
    with Debugged(on, [DEBUGGEE]) as d:
        with socket.create_connection(("127.0.0.1", int(d.port))) as s:
            s.sendall(b"$" + b"m" * 100000 + b"#00" + bytes(range(256)) * 10)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert d.wait_code() == 7, d.text()


def fixed_addresses(on):
    """Nothing of the address space is left to chance."""
    maps = set()
    for _ in range(2):
        with Debugged(on, [KINDS["PIE"]]) as d:
            text = d.gdb("break main", "continue", "print $sp", "print &total", "print $pc", "info sharedlibrary", "kill")
            maps.add("\n".join(re.findall(r"0x[0-9a-f]{10,}", text)))
    assert len(maps) == 1, maps


def port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as s:
        r = pith([DEBUGGEE], ["--gdb", str(s.getsockname()[1])])
        assert r.code == 125 and "in use" in r.err and len(r.err.splitlines()) == 1, r


def errors():
    for args in ([], ["1234"], ["0", DEBUGGEE], ["70000", DEBUGGEE], ["1234", "/nonexistent"], ["1234", DEBUGGEE, "x"], ["--x", "1", "y"]):
        r = run_command([PITH, "gdb"] + args)
        assert r.code == 125 and r.out == "" and len(r.err.splitlines()) == 1, (args, r)
    r = run_command([PITH, "gdb", "1234", DEBUGGEE], env={"PATH": "/nonexistent"})
    assert r.code == 125 and "install the package gdb" in r.err, r
    expect(run_command([PITH, "gdb", "--help"]), has="pith gdb")


def an_image(on):
    """What an image holds is debugged with the symbols of the program that it was made of, or of the library OS alone."""
    with tempfile.TemporaryDirectory(prefix="gdb-test") as d:
        path = os.path.join(d, "app.pith")
        expect(run_command([PITH, "build", "-o", path, KINDS["PIE"]]))
        for symbols, stop in ((KINDS["PIE"], "add_up"), (path, "sys_write")):
            with Debugged(on, [path]) as i:
                i.program = symbols
                in_order(i.gdb("break " + stop, "continue", "continue"), r"Breakpoint 1, %s " % stop, r"exited with code 07")
                assert i.wait_code() == 7, i.text()


def qemu():
    """QEMU has a debugger's end of its own: the same command, and what it shows of an instance."""
    if not shutil.which("qemu-system-x86_64"):
        raise harness.Skip("there is no qemu-system-x86_64")
    port = harness.free_port()
    cmd = command([KINDS["PIE"]], ["--on", "qemu:microvm,accel=tcg", "--gdb", str(port)])
    with Running(cmd) as p:
        p.wait_text("waiting for gdb on ")
        r = run_command([PITH, "gdb", str(port), KINDS["PIE"], "--", "-nx", "-batch", "-ex", "break add_up", "-ex", "continue", "-ex",
                         "break sys_write", "-ex", "continue", "-ex", "backtrace", "-ex", "continue"])
        in_order(r.out + r.err, r"Breakpoint 1, add_up", r"Breakpoint 2, sys_write", r"#0 +sys_write", r"#\d+ .* in main \(")
        assert p.wait_code() == 7, p.text()


def platforms():
    return ["process", "kvm"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else ["process"]


def run(report):
    for on in platforms():
        name = "gdb/%s/" % on
        for kind, program in KINDS.items():
            report.test(name + "%s program and library OS" % kind, lambda: program_and_library_os(on, program))
        report.test(name + "step over a system call", lambda: steps_over_calls(on, DEBUGGEE))
        report.test(name + "change values, watch, call", lambda: values_can_be_changed(on))
        report.test(name + "shared libraries", lambda: libraries_are_found(on))
        report.test(name + "interrupt while it waits", lambda: interrupted(on, "wait", []))
        report.test(name + "interrupt while a thread computes", lambda: interrupted(on, "compute", ["stepi", "stepi", "stepi"]))
        report.test(name + "image", lambda: an_image(on))
        report.test(name + "kill", lambda: killed(on))
        report.test(name + "client vanishes", lambda: a_client_that_vanishes(on))
        report.test(name + "garbage", lambda: a_flood_of_garbage(on))
        report.test(name + "addresses are fixed", lambda: fixed_addresses(on))
    report.test("gdb/qemu/program and library OS", qemu)
    report.test("gdb/fault", a_fault_stops_and_is_passed_on)
    report.test("gdb/port in use", port_in_use)
    report.test("gdb/errors", errors)
