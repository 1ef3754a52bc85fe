# SPDX-License-Identifier: ISC
"""Images and machines for the tests of this folder: images built once, platforms that may be missing, bare QEMU."""
import os
import shutil
import subprocess
import tempfile
import threading

import harness
from harness import BUILD, PITH, Skip, run_command

PLATFORMS = ("process", "kvm", "qemu", "qemu:q35")
MACHINES = ("kvm", "qemu", "qemu:q35")
QEMU = "qemu-system-x86_64"
EXO = os.path.join(BUILD, "exo.elf")
GUEST = os.path.join(BUILD, "guest/conform/guest")
EXIT_PORT = 0xf4
PAGE = 4096


def need_qemu():
    if shutil.which(QEMU) is None:
        raise Skip("QEMU is not installed")


def kvm_usable():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
        return True
    except OSError:
        return False


def need(on):
    if on == "kvm" and not kvm_usable():
        raise Skip("/dev/kvm cannot be used")
    if on.startswith("qemu"):
        need_qemu()


class Images:
    """`with images:` around all use; images[PROGRAM, ARGS...] is the path of its image, built when first asked for."""

    def __init__(self):
        self.lock = threading.Lock()
        self.made = {}

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="pith-conform-")
        os.chmod(self.dir, 0o755)

    def __exit__(self, *_):
        shutil.rmtree(self.dir)
        self.made = {}

    def __getitem__(self, command):
        command = (command,) if isinstance(command, str) else command
        with self.lock:
            if command not in self.made:
                path = os.path.join(self.dir, "%d-%s.pith" % (len(self.made), os.path.basename(command[0])))
                harness.expect(run_command([PITH, "build", "-o", path] + list(command)), out="")
                self.made[command] = path
            return self.made[command]

    def scratch(self):
        """A directory of its own, taken away at the end."""
        d = tempfile.mkdtemp(dir=self.dir)
        os.chmod(d, 0o777)
        return d


images = Images()


class Once:
    """The value of a function, found by the first who asks."""

    def __init__(self, fn):
        self.fn, self.lock, self.value = fn, threading.Lock(), {}

    def __call__(self, *args):
        with self.lock:
            if args not in self.value:
                self.value[args] = self.fn(*args)
            return self.value[args]


def bare_command(initrd, machine=("-M", "microvm,acpi=off", "-cpu", "max"), memory="128", words="", extra=()):
    """QEMU with exo and a file, no pith: what the machine says comes by the serial line, its end by isa-debug-exit."""
    cmd = [QEMU, "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-accel", "tcg",
           "-device", "isa-debug-exit,iobase=%#x,iosize=4" % EXIT_PORT, "-m", memory, "-kernel", EXO,
           "-append", ("exo.exit=%#x " % EXIT_PORT + words).strip()] + list(machine) + list(extra)
    return cmd + (["-initrd", initrd] if initrd else [])


def status(code):
    """What the machine ended with: isa-debug-exit makes (status << 1) | 1 of it; None: it ended some other way."""
    return code >> 1 if code & 1 and code > 1 else None


def bare(initrd, limit=30, stdin=b"", **kw):
    """A Result whose code is the machine's status; 0 as exit code of QEMU would mean a reset or a silent end."""
    need_qemu()
    r = run_command(bare_command(initrd, **kw), stdin=stdin, limit=limit)
    r.qemu, r.code = r.code, status(r.code)
    # A status of 0 is QEMU's 1, which is also how it ends when it cannot start; then it has said why.
    if r.qemu == 1 and not r.err:
        r.code = 0
    r.out = r.out.replace("\r\n", "\n")
    return r
