# SPDX-License-Identifier: ISC
"""Bad images, too little memory, missing devices: one line that says what, an exit status that says so, never a hang.

`pith run` looks at an image before any machine is made; exo and the library OS get the bad file from bare QEMU.
"""
import functools
import os
import random
import re
import struct

import vm
from harness import BUILD, pith, run_command
from image import PT_BOOT, PT_LOAD, PT_MANIFEST, PT_NOTE, PT_PACK, PT_SYMBOLS, Image
from vm import GUEST, PAGE

HELLO = os.path.join(BUILD, "abi/glibc-static/hello"), "one", "two"
REFUSED = 125
CANNOT_EXECUTE = 126
SEED = 20
FLIPS = 60
NOT_AN_ERROR_LINE = ("exo: exit status",)

BOOT_F_CHANNEL = 1 << 7
# abi/boot.h, offsets in struct boot_info
BOOT_SIZE, BOOT_FLAGS, BOOT_VOLUME_COUNT, BOOT_DISK, BOOT_VOLUMES, BOOT_NET = 12, 20, 116, 120, 128, 256


class Bad(Image):
    def write(self):
        path = os.path.join(vm.images.scratch(), "bad.pith")
        with open(path, "wb") as f:
            f.write(self.bytes)
        return path


def hello():
    return Bad(vm.images[HELLO])


def cut(n):
    i = hello()
    del i.bytes[n if n >= 0 else len(i.bytes) + n:]
    return i


def raw(data):
    i = hello()
    i.bytes = bytearray(data)
    return i


def foreign_elf():
    with open(HELLO[0], "rb") as f:
        return raw(f.read())


# pith has no reason to refuse it: exo or the cage may, or the program runs as ever.
RUNS = "runs"

# What is bad about a file, how it is made, what exo or the library OS says to it, and pith. None: something.
IMAGES = {
    "empty": (lambda: raw(b""), r"no image", None),
    "text": (lambda: raw(b"just text\n" * 1000), r"is no Pith image", None),
    "another ELF file": (foreign_elf, r"is no Pith image|is damaged", RUNS),
    "half a header": (lambda: cut(40), r"is no Pith image", None),
    "cut in the library OS": (lambda: cut(100000), r"ends before its program headers", r"cut short"),
    "cut behind the head": (lambda: cut(hello().part(PT_PACK)[0]), r"it is cut off", r"cut short"),
    "one page short": (lambda: cut(-PAGE), r"it is cut off", r"cut short"),
    "ELF magic": (lambda: hello().put(0, "B", 0x7e), r"is no Pith image", None),
    "ELF class": (lambda: hello().put(4, "B", 1), r"is no Pith image", None),
    "machine": (lambda: hello().put(18, "H", 183), r"is no Pith image", None),
    "no program headers": (lambda: hello().put(56, "H", 0), r"program headers", None),
    "too many program headers": (lambda: hello().put(56, "H", 60000), r"program headers", None),
    "program headers elsewhere": (lambda: hello().put(32, "Q", 1 << 60), r"program headers", r"damaged|cut short"),
    "program headers odd": (lambda: hello().put(32, "Q", hello().phoff + 4), r"program headers", None),
    "manifest's magic": (lambda: hello().put(hello().part(PT_MANIFEST)[0], "Q", 1), r"is no Pith image", r"damaged"),
    "manifest's version": (lambda: hello().put(hello().part(PT_MANIFEST)[0] + 8, "I", 99).add_up(),
                           r"is of version 99, this exo runs version \d+", r"another version"),
    "manifest elsewhere": (lambda: hello().put_header(PT_MANIFEST, 8, "Q", 1 << 62), r"is no Pith image", r"damaged|cut short"),
    "library OS's version": (lambda: note_version(), r"library OS is of another version", RUNS),
    "sum of the head": (lambda: hello().put(hello().part(PT_MANIFEST)[0] + 24, "Q", 1), r"does not add up", r"damaged"),
    "boot information's magic": (lambda: hello().put(hello().part(PT_BOOT)[0], "Q", 1).add_up(),
                                 r"boot information is damaged", r"damaged"),
    "boot information's version": (lambda: hello().put(hello().part(PT_BOOT)[0] + 8, "I", 77).add_up(),
                                   r"boot information is damaged or of another version", r"damaged"),
    "arguments outside": (lambda: hello().put(hello().part(PT_BOOT)[0] + 92, "I", 0xfffffff0).add_up(),
                          r"boot information is damaged", r"damaged"),
    "segment outside of the file": (lambda: hello().put_header(PT_LOAD, 32, "Q", 1 << 40).add_up(), r"damaged: segments", r"damaged"),
    "segment larger in file": (lambda: hello().put_header(PT_LOAD, 40, "Q", 16).add_up(), r"damaged: segments", r"damaged"),
    "segment writable and executable": (lambda: hello().put_header(PT_LOAD, 4, "I", 7).add_up(), r"damaged: segments", RUNS),
    "segment far away": (lambda: hello().put_header(PT_LOAD, 16, "Q", 1 << 45).add_up(), r"damaged: segments", RUNS),
    "pack is missing": (lambda: hello().put_header(PT_PACK, 0, "I", 0x12345), r"does not add up", r"damaged"),
    "pack outside": (lambda: hello().put_header(PT_PACK, 32, "Q", 1 << 50).add_up(), r"pack|program|file", r"damaged"),
    "pack's magic": (lambda: hello().put(hello().part(PT_PACK)[0], "Q", 5), r"pack|program|file", r"damaged"),
}


def note_version():
    i = hello()
    for at, h in map(i.header, range(i.phnum)):
        if h[0] == PT_NOTE and i.bytes[h[2] + 12:h[2] + 16] == b"Pith":
            return i.put(h[2] + 20 + 8, "I", 99).add_up()
    raise AssertionError("no note of the library OS in the image")


def lines_of(r):
    """What Pith itself says: exo's and the library OS's lines."""
    return [n for n in (r.out + r.err).splitlines() if re.match(r"(exo|pith): ", n) and not n.startswith(NOT_AN_ERROR_LINE)]


def refused_bare(r, pattern):
    assert r.code not in (None, 0), "status %s: %r" % (r.code, r)
    lines = lines_of(r)
    assert len(lines) == 1 and re.search(pattern, lines[0]), "no line with %r: %r" % (pattern, r)
    return r


def exo_refuses(make, pattern):
    vm.need_qemu()
    refused_bare(vm.bare(make().write()), pattern)


def pith_refuses(on, make, pattern):
    """What does not look like an image at all is a program that cannot be executed."""
    vm.need(on)
    path = make().write()
    os.chmod(path, 0o755)
    r = pith([path], ["--on", on])
    if pattern == RUNS and r.code == 7:
        assert r.out.endswith("atexit ran\n"), r
        return
    assert r.out == "" and len(r.err.splitlines()) == 1, r
    if pattern != RUNS:
        assert r.code == CANNOT_EXECUTE and r.err.startswith("pith: " + path) and re.search(pattern or ".", r.err), r
    else:
        assert r.code == REFUSED and re.match("(pith|exo): ", r.err), r


def no_image():
    vm.need_qemu()
    assert refused_bare(vm.bare(None), r"no image: give it as initrd").code == REFUSED


# ---- memory ----

def little_memory():
    """From the least that QEMU can lay exo and the image out in: a line, or the program runs."""
    vm.need_qemu()
    host = run_command(list(HELLO), env={})
    image = vm.images[HELLO]
    loaded = 1024 + exo_end_kib() + os.path.getsize(image) // 1024
    refused = 0
    for kib in (loaded + 8, loaded + 64, loaded + 256, loaded + 1024):
        r = vm.bare(image, memory="%dK" % kib)
        if r.code == host.code:
            assert host.out in r.out, r
        else:
            refused_bare(r, r"(too little|out of) memory|no memory")
            refused += 1
    assert refused, "nothing was too little"


def exo_end_kib():
    """How much of the memory from 1 MiB on exo takes."""
    with open(vm.EXO, "rb") as f:
        e = f.read()
    phoff, phnum = struct.unpack_from("<Q", e, 32)[0], struct.unpack_from("<H", e, 56)[0]
    heads = [struct.unpack_from("<IIQQQQQQ", e, phoff + 56 * i) for i in range(phnum)]
    return (max(h[4] + h[6] for h in heads if h[0] == PT_LOAD) - (1 << 20) + 4095) // 4096 * 4


def program_takes_too_much():
    vm.need_qemu()
    r = vm.bare(vm.images[GUEST, "memory", "100"], memory="32")
    refused_bare(r, r"out of memory \(\d+ KiB\)")


def smallest_memory(on):
    """The least that -m takes is enough for a small program, or is refused with a line."""
    vm.need(on)
    host = run_command(list(HELLO), env={})
    for size in ("1m", "2m", "16m", "17m"):
        r = pith([vm.images[HELLO]], ["--on", on, "-m", size])
        if r.code == REFUSED:
            assert r.out == "" and len(r.err.splitlines()) == 1 and "memory" in r.err, r
        else:
            assert (r.code, r.out) == (host.code, host.out), r
    r = pith([vm.images[HELLO]], ["--on", on, "-m", "100k"])
    assert r.code == REFUSED and len(r.err.splitlines()) == 1, r


# ---- devices ----

def with_boot(change):
    blob = hello().boot()
    return hello().append(change(blob) or blob)


def flag(at, bits):
    def change(blob):
        struct.pack_into("<I", blob, at, struct.unpack_from("<I", blob, at)[0] | bits)
    return change


def absent_volume(blob):
    struct.pack_into("<I", blob, BOOT_VOLUME_COUNT, 1)
    struct.pack_into("<II", blob, BOOT_VOLUMES, len(blob), 0)
    struct.pack_into("<I", blob, BOOT_SIZE, len(blob) + 8)
    return blob + b"/vol\0\0\0\0"


def network(blob):
    struct.pack_into("<II", blob, BOOT_NET, 1, 0)


MISSING = {
    "channel": (flag(BOOT_FLAGS, BOOT_F_CHANNEL), r"no virtio console"),
    "disk": (flag(BOOT_DISK, 2), r"no virtio block device"),
    "network": (network, r"no virtio network device"),
    "volume": (absent_volume, r"volume|9P"),
}


def device_missing(change, pattern):
    vm.need_qemu()
    refused_bare(vm.bare(with_boot(change).write()), pattern)


def boot_without_devices():
    """The appended boot information counts: with other arguments, and nothing that is missing."""
    vm.need_qemu()

    def change(blob):
        at, = struct.unpack_from("<I", blob, 92)
        at = blob.index(b"two\0", at)
        blob[at:at + 3] = b"TWO"
    r = vm.bare(with_boot(change).write())
    assert r.code == 7 and "argv[2] = 'TWO'\n" in r.out, r


def appended_garbage():
    """Bytes behind the image that are no boot information are none of its business; damaged ones are."""
    vm.need_qemu()
    r = vm.bare(hello().append(random.Random(1).randbytes(3000)).write())
    assert r.code == 7 and "argv[2] = 'two'\n" in r.out, r
    refused_bare(vm.bare(with_boot(lambda b: struct.pack_into("<I", b, 8, 9)).write()), r"boot information is damaged")


def disk_is_missing_for_pith(on):
    vm.need(on)
    r = pith([vm.images[HELLO]], ["--on", on, "--disk", "/nonexistent/disk"])
    assert r.code == REFUSED and r.out == "" and len(r.err.splitlines()) == 1 and "/nonexistent/disk" in r.err, r


# ---- random damage ----

def right(r, host):
    return r.code == host.code & 127 and host.out in r.out


def flips(first):
    """A byte of the head is another: the program runs as ever, or there is a line and a status that is not 0."""
    vm.need_qemu()
    host = run_command(list(HELLO), env={})
    whole = hello()
    for n in range(first, FLIPS, 4):
        rng = random.Random(SEED * 1000 + n)
        i = hello()
        # Half of them where headers, manifest and boot information are, which every byte matters in.
        start = whole.part(PT_BOOT)[0] if n % 2 else 0
        at = rng.randrange(start, whole.part(PT_PACK)[0]) if n % 4 else rng.randrange(64)
        i.bytes[at] ^= 1 << rng.randrange(8)
        r = vm.bare(i.write())
        what = "seed %d, byte %d: %r" % (n, at, r)
        assert r.code is not None, "the machine ended silently; " + what
        assert right(r, host) or (r.code != 0 and lines_of(r)), what


def cases():
    found = []
    for name, (make, exo, host) in IMAGES.items():
        found.append(("conform/bad image/%s/exo" % name, functools.partial(exo_refuses, make, exo)))
        found += [("conform/bad image/%s/%s" % (name, on), functools.partial(pith_refuses, on, make, host))
                  for on in ("process", "kvm", "qemu")]
    found += [("conform/no image at all", no_image), ("conform/memory/little", little_memory),
              ("conform/memory/the program takes too much", program_takes_too_much)]
    found += [("conform/memory/least/%s" % on, functools.partial(smallest_memory, on)) for on in vm.PLATFORMS]
    found += [("conform/missing %s" % name, functools.partial(device_missing, *how)) for name, how in MISSING.items()]
    found += [("conform/appended boot information", boot_without_devices), ("conform/appended garbage", appended_garbage)]
    found += [("conform/no such disk/%s" % on, functools.partial(disk_is_missing_for_pith, on)) for on in vm.PLATFORMS]
    return found + [("conform/random damage/%d" % k, functools.partial(flips, k)) for k in range(4)]
