# SPDX-License-Identifier: ISC
"""Debugging with gdb: `pith run --gdb`, `pith gdb`."""
import os
import re
import signal
import socket
import struct
import subprocess

import harness
from harness import BUILD, PITH, Running, command, expect, pith, run_command, wait_until

DEBUGGEE = os.path.join(BUILD, "guest/integration/debuggee")
KINDS = {"static": DEBUGGEE, "PIE": DEBUGGEE + "-pie", "static PIE": DEBUGGEE + "-static-pie"}
WAITING = re.compile(r"waiting for gdb on 127\.0\.0\.1:(\d+): pith gdb")


class Debugged(Running):
    """An instance that waits for gdb; self.port is where."""

    def __init__(self, args, options=(), stdin=subprocess.DEVNULL):
        super().__init__(command(args, ["--gdb", "0"] + list(options)), stdin=stdin)
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


def program_and_library_os(program):
    with Debugged([program]) as d:
        text = d.gdb("break main", "continue", "backtrace", "break add_up", "continue", "finish", "print total",
                     "break sys_write", "continue", "backtrace", "stepi", "continue")
        in_order(text, r"Breakpoint 1, main \(argc=1, ", r"#0 +main \(", r"Breakpoint 2, add_up \(n=[^)]*10\)",
                 r"Value returned is .* = 55", r"= 55", r"Breakpoint 3, sys_write \(f=", r"#0 +sys_write \(f=", r"syscall_dispatch \(",
                 r"#\d+ .* in say \(text=.*\"done\\n\"\)", r"#\d+ .* in main \(", r"exited with code 07")
        assert d.wait_code() == 7, d.text()
        assert "done\n" in d.text()


TO_CALL = ("python while bytes(gdb.selected_inferior().read_memory(int(gdb.parse_and_eval('(long)$pc')), 2)) != b'\\x0f\\x05': "
           "gdb.execute('stepi', to_string=True)")


def steps_over_calls(program):
    """A step over a system call ends behind it, whatever the library OS did meanwhile."""
    with Debugged([program]) as d:
        text = d.gdb("break say", "continue", "break write", "continue", TO_CALL,
                     "set $call = $pc", "stepi", "print $pc - $call", "print $rax", "continue")
        in_order(text, r"Breakpoint 1, say", r"\$1 = 2\b", r"\$2 = 5\b", r"exited with code 07")
        assert d.wait_code() == 7


def values_can_be_changed():
    with Debugged([KINDS["PIE"]]) as d:
        text = d.gdb("break add_up", "continue", "set var n = 4", "watch total", "continue", "print total", "delete",
                     "print add_up(3)", "continue")
        in_order(text, r"Breakpoint 1, add_up", r"Old value = 0\nNew value = 10", r"= 10", r"= 6", r"exited with code 01")
        assert d.wait_code() == 1


def libraries_are_found():
    with Debugged([KINDS["PIE"]]) as d:
        text = d.gdb("break main", "continue", "info sharedlibrary", "info symbol write", "continue")
        in_order(text, r"Yes[^\n]*ld-linux-x86-64", r"Yes[^\n]*libc\.so\.6", r"write in section \.text of [^\n]*libc\.so\.6")


def a_fault_stops_and_is_passed_on():
    with Debugged([DEBUGGEE, "fault"]) as d:
        text = d.gdb("continue", "backtrace", "continue")
        in_order(text, r"received signal SIGSEGV", r"#0 .*in main \(", r"exited with code 0213")
        assert d.wait_code() == 139
        assert "killed by signal 11" in d.text()


def interrupted(mode, then):
    r, w = os.pipe()
    try:
        with Debugged([DEBUGGEE, mode], stdin=r) as d:
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


def killed():
    before = harness.pith_processes()
    with Debugged([DEBUGGEE, "wait"]) as d:
        d.gdb("break main", "continue", "kill")
        assert d.wait_code() == 137
        assert "the debugger ended the instance" in d.text()
    wait_until(lambda: harness.pith_processes() <= before, "no process of Pith is left")


def a_client_that_vanishes():
    """Without detaching: the breakpoint is taken out and the program goes on."""
    with Debugged([DEBUGGEE]) as d:
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


def a_flood_of_garbage():
    with Debugged([DEBUGGEE]) as d:
        with socket.create_connection(("127.0.0.1", int(d.port))) as s:
            s.sendall(b"$" + b"m" * 100000 + b"#00" + bytes(range(256)) * 10)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert d.wait_code() == 7, d.text()


def fixed_addresses():
    """Nothing of the address space is left to chance."""
    maps = set()
    for _ in range(2):
        with Debugged([KINDS["PIE"]]) as d:
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


def run(report):
    for kind, program in KINDS.items():
        report.test("gdb/%s program and library OS" % kind, lambda: program_and_library_os(program))
    report.test("gdb/step over a system call", lambda: steps_over_calls(DEBUGGEE))
    report.test("gdb/change values, watch, call", values_can_be_changed)
    report.test("gdb/shared libraries", libraries_are_found)
    report.test("gdb/fault", a_fault_stops_and_is_passed_on)
    report.test("gdb/interrupt while it waits", lambda: interrupted("wait", []))
    report.test("gdb/interrupt while a thread computes", lambda: interrupted("compute", ["stepi", "stepi", "stepi"]))
    report.test("gdb/kill", killed)
    report.test("gdb/client vanishes", a_client_that_vanishes)
    report.test("gdb/garbage", a_flood_of_garbage)
    report.test("gdb/addresses are fixed", fixed_addresses)
    report.test("gdb/port in use", port_in_use)
    report.test("gdb/errors", errors)
