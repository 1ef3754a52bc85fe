# SPDX-License-Identifier: ISC
"""The programs of test/abi from images: the same file on every platform, Linux is the oracle."""
import functools
import glob
import os

import harness
import vm
from harness import BUILD, run_command

# Flavours and where each is run: the platforms differ in how memory, time and traps come about, not in how a file is loaded.
WHERE = {"glibc-static": vm.PLATFORMS, "glibc": ("kvm", "qemu"), "musl": ("kvm",)}
ARGS = {"hello": ("one", "two words", "")}
STDIN = {"stdin": b"first line\nsecond\n"}
LIMIT = 180  # seconds: where KVM emulates ring 0 a trap takes 150 us, and musl makes most of its calls by traps
ENV = {"PATH": "/usr/bin:/bin", "PITH_ABI": "here", "HOME": "/tmp"}


@vm.Once
def on_host(program, name):
    return run_command([program] + list(ARGS.get(name, ())), stdin=STDIN.get(name, b""), env=ENV)


def first_difference(host, ours):
    a, b = host.splitlines(), ours.splitlines()
    at = next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), min(len(a), len(b)))
    return "line %d: host %r, pith %r" % (at + 1, a[at] if at < len(a) else "(end)", b[at] if at < len(b) else "(end)")


def same(name, flavour, on):
    vm.need(on)
    program = os.path.join(BUILD, "abi", flavour, name)
    host = on_host(program, name)
    r = harness.pith([vm.images[(program,) + ARGS.get(name, ())]], ["--on", on, "-e", "PITH_ABI=here"],
                     stdin=STDIN.get(name, b""), env=ENV, limit=LIMIT)
    assert r.out == host.out, "%s; %r" % (first_difference(host.out, r.out), r)
    assert r.code == host.code, "exit code: host %s, pith %s; err %r" % (host.code, r.code, r.err[-500:])
    if name == "hello":
        assert r.err == host.err, "standard error: %r" % r.err


def cases():
    names = sorted(os.path.basename(f)[:-2] for f in glob.glob(harness.TOP + "/test/abi/*.c"))
    return [("conform/%s/%s/%s" % (n, f, on), functools.partial(same, n, f, on))
            for f, where in WHERE.items() for n in names for on in where]
