# SPDX-License-Identifier: ISC
"""exo without pith beside it: from GRUB by Multiboot2, and by QEMU's -kernel on the machines and processors that it has."""
import functools
import glob
import os
import shutil
import socket
import subprocess

import harness
import vm
from harness import BUILD, Running, Skip, run_command

# Programs that want no input and no AVX, and look at traps, threads, time and memory.
PROGRAMS = ("hello", "signals", "threads", "clocks", "memory", "preempt")
PLAIN_LIMIT = 60
STATUS = "exo: exit status %d\n"


def program(name):
    args = ("one", "two words", "") if name == "hello" else ()
    return (os.path.join(BUILD, "abi/glibc-static", name),) + args


@vm.Once
def on_host(name):
    return run_command(list(program(name)), env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"})


def image(name):
    return vm.images[program(name)]


def serial_of(r):
    return r.out.replace("\r\n", "\n")


def as_on_host(out, name, r):
    """The program's output is in what came by the serial line; standard error comes there too, for hello before it."""
    host = on_host(name)
    assert host.out in out, "no %r in %r; %r" % (host.out[-300:], out[-1500:], r)
    return host


def plain(name):
    """As anybody would start it: the default machine (pc) and processor (qemu64, without XSAVE and FSGSBASE)."""
    vm.need_qemu()
    r = run_command([vm.QEMU, "-kernel", vm.EXO, "-initrd", image(name), "-nographic", "-no-reboot"], limit=PLAIN_LIMIT)
    out = serial_of(r)
    host = as_on_host(out, name, r)
    assert r.code == 0 and (STATUS % host.code in out) == (host.code != 0), r


def bare(name, machine):
    """The exit status arrives by isa-debug-exit, which has room for 7 bits."""
    r = vm.bare(image(name), machine=machine, limit=PLAIN_LIMIT)
    assert r.code == as_on_host(r.out, name, r).code & 127, r


def typed():
    """Standard input is the serial line: a terminal sends CR for the end of a line."""
    vm.need_qemu()
    with Running(vm.bare_command(vm.images[vm.GUEST, "lines"]), stdin=subprocess.PIPE) as p:
        p.wait_text("ready")
        for text, answer in ((b"first\r", "line 1: first\r\n"), (b"second\r", "line 2: second\r\n"), (b"end\r", "over")):
            p.p.stdin.write(text)
            p.p.stdin.flush()
            p.wait_text(answer)
        assert vm.status(p.wait_code()) == 2, p.text()
        p.p.stdin.close()


def end_by_nmi():
    """What the serial line says of a machine that waits for input when its owner sends an NMI."""
    at = vm.images.scratch() + "/monitor"
    extra = ("-monitor", "unix:%s,server=on,wait=off" % at)
    with Running(vm.bare_command(vm.images[vm.GUEST, "lines"], machine=("-M", "q35", "-cpu", "max"), extra=extra)) as p:
        p.wait_text("ready")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(at)
            s.sendall(b"nmi\n")
            assert vm.status(p.wait_code()) == 125, p.text()
        return p.text()


def report_of_exo():
    """An NMI ends the machine with registers, and in exo with the names of its functions."""
    vm.need_qemu()
    for _ in range(10):
        text = end_by_nmi()
        if "exo: NMI in ring 3" not in text:
            break  # it mostly sleeps in exo, but may just have been about to
    for part in ("exo: NMI in exo", " cr3 ", "exo: #0 ", " call_wait+", " syscall_common+"):
        assert part in text, "no %r in %r" % (part, text[-1500:])


# ---- GRUB ----

def grub_missing():
    for need in ("grub-mkrescue", "xorriso", "mformat"):
        if shutil.which(need) is None:
            return "%s is not installed" % need
    return None if glob.glob("/usr/lib/grub/i386-pc/multiboot2.mod") else "grub-pc-bin is not installed"


@vm.Once
def iso(name):
    """A CD that starts exo with the image `name`, or with none."""
    d = vm.images.scratch()
    os.makedirs(d + "/tree/boot/grub")
    shutil.copy(vm.EXO, d + "/tree/boot/exo")
    module = ""
    if name:
        shutil.copy(image(name), d + "/tree/boot/image")
        module = "module2 /boot/image\n"
    with open(d + "/tree/boot/grub/grub.cfg", "w") as f:
        f.write("multiboot2 /boot/exo exo.exit=%#x\n%sboot\n" % (vm.EXIT_PORT, module))
    harness.expect(run_command(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", d + "/iso", d + "/tree"]))
    return d + "/iso"


def from_grub(name, machine):
    vm.need_qemu()
    if grub_missing():
        raise Skip(grub_missing())
    r = run_command([vm.QEMU, "-M", machine, "-cdrom", iso(name), "-nographic", "-no-reboot", "-net", "none",
                     "-device", "isa-debug-exit,iobase=%#x,iosize=4" % vm.EXIT_PORT], limit=PLAIN_LIMIT)
    if not name:
        assert vm.status(r.code) == 125 and "exo: no image: give it as initrd (PVH) or module (Multiboot2)\n" in serial_of(r), r
        return
    assert r.code == as_on_host(serial_of(r), name, r).code << 1 | 1, r


def cases():
    machines = {
        "microvm": ("-M", "microvm,acpi=off", "-cpu", "max"),
        "microvm with ACPI": ("-M", "microvm", "-cpu", "qemu64"),
        "q35": ("-M", "q35", "-cpu", "max"),
        "pc, oldest processor": ("-M", "pc", "-cpu", "core2duo"),
    }
    return ([("conform/plain QEMU/" + n, functools.partial(plain, n)) for n in PROGRAMS] +
            [("conform/bare %s/%s" % (m, n), functools.partial(bare, n, a))
             for m, a in machines.items() for n in ("hello", "signals")] +
            [("conform/serial input", typed), ("conform/a report of exo", report_of_exo)] +
            [("conform/GRUB %s/hello" % m, functools.partial(from_grub, "hello", m)) for m in ("pc", "q35")] +
            [("conform/GRUB/no image", functools.partial(from_grub, None, "pc"))])
