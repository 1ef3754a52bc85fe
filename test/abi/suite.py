# SPDX-License-Identifier: ISC
"""The honest oracle of the Linux ABI is Linux: each program of this folder runs on the host and under Pith.

Every program is there five times: glibc dynamic, static and static-pie, musl static and dynamic.
"""
import concurrent.futures
import glob
import os

import harness

FLAVOURS = ("glibc", "glibc-static", "glibc-static-pie", "musl-static", "musl")
ARGS = {"hello": ["one", "two words", ""]}
STDIN = {"stdin": b"first line\nsecond\n"}


def compare(name, program):
    env = {"PATH": "/usr/bin:/bin", "PITH_ABI": "here", "HOME": "/tmp"}
    stdin = STDIN.get(name, b"")
    args = ARGS.get(name, [])
    host = harness.run_command([program] + args, stdin=stdin, env=env)
    options = ["-e", "PITH_ABI=here"]
    ours = harness.pith([program] + args, options, stdin=stdin, env=env)
    if ours.out != host.out:
        a, b = host.out.splitlines(), ours.out.splitlines()
        at = next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), min(len(a), len(b)))
        extra = [(x, y) for x, y in zip(a, b) if x != y][1:6] if len(a) == len(b) else []
        raise AssertionError("line %d: host %r, pith %r (%d and %d lines)%s; exit %s; err %r" % (
            at + 1, a[at] if at < len(a) else "(end)", b[at] if at < len(b) else "(end)", len(a), len(b),
            "".join("; host %r pith %r" % e for e in extra), ours.code, ours.err[-500:]))
    assert ours.code == host.code, "exit code: host %s, pith %s; err %r" % (host.code, ours.code, ours.err[-500:])
    if name == "hello":
        assert ours.err == host.err, "standard error: %r" % ours.err


def run(report):
    names = sorted(os.path.basename(f)[:-2] for f in glob.glob(os.path.dirname(__file__) + "/*.c"))
    jobs = [("abi/%s/%s" % (n, f), n, os.path.join(harness.BUILD, "abi", f, n)) for f in FLAVOURS for n in names]
    jobs = [j for j in jobs if report.wanted(j[0])]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda j: report.test(j[0], lambda: compare(j[1], j[2])), jobs))
