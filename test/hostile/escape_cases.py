# SPDX-License-Identifier: ISC
"""Out of ring 3 in a virtual machine: the guest may die, exo and the tender report it, and nothing else happens.

Always: the machine ends by itself, with a status that the program asked for or a line that says why, and never by a
fault in exo. PITH_ESCAPE_CALLS is the number of random calls in all under QEMU, default a million; a 150th under KVM.
"""
import concurrent.futures
import os
import re
import subprocess
import tempfile

import harness
from harness import BUILD, pith

ESCAPE = os.path.join(BUILD, "guest/hostile/escape")
EXOCALL = os.path.join(BUILD, "guest/hostile/exocall")
CALLS = int(os.environ.get("PITH_ESCAPE_CALLS", "1000000"))
BATCH = {"qemu": 20000, "kvm": 1500}
DONE, LOST = 7, 8  # EXIT_DONE of exocall.c; EXIT_LOST of attack.h: the program has written over its own data
ENDS, NOWHERE = 17, 11
# exo has failed, the tender or QEMU was killed, the processor gave up (a triple fault), the program says so.
BAD = re.compile(r"^(exo: .* in exo|exo: broken promise|pith: the instance was ended by signal|"
                 r"pith: the virtual machine (has stopped|was reset)|BROKEN|FAILED).*", re.M)
QEMU_GIVES_UP = "pith: the instance was ended by signal 6 (ABRT)"  # its own assertions can be made to fail by a guest
SILENT_ENDS = (12, 13, 15, 16)  # the machine is asked to end, by what an upcall lands on too


def machines():
    found = ["kvm"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else []
    return found + (["qemu", "qemu:q35"] if harness.run_command(["sh", "-c", "command -v qemu-system-x86_64"]).code == 0 else [])


def syscall_entry():
    out = subprocess.run(["nm", BUILD + "/exo.elf"], capture_output=True, text=True, check=True).stdout
    return "0x" + next(line.split()[0] for line in out.splitlines() if line.endswith(" syscall_entry"))


def attack(machine, args, options=("-m", "32m")):
    """Whatever happens to the guest, this is true of what is outside of it."""
    r = pith(args, ["--on", machine] + list(options))
    text = r.out + r.err
    bad = BAD.search(text.replace(QEMU_GIVES_UP, "") if machine != "kvm" else text)
    assert not bad, "%s: %r" % (bad.group(), r)
    assert r.code in (0, DONE, LOST) or re.search(r"^(pith|exo): ", r.err, re.M) or r.code < 126, "no word of the end: %r" % r
    return r


def devices(machine, report):
    for mode in ("refused", "freed", "exhaust"):
        report.test("escape/%s/%s" % (machine, mode),
                    lambda: harness.expect(attack(machine, [EXOCALL, mode], ["-m", "16m"]), DONE))


def through(machine, entry, report):
    for mode in ("instructions", "msrs", "ports", "memory", "entry", "flags", "storm"):
        def all_of():
            r = harness.expect(attack(machine, [ESCAPE, mode, entry]))
            assert re.search(r"^done \d\d+$", r.out, re.M), r
        report.test("escape/%s/%s" % (machine, mode), all_of)

    def lines():
        attack(machine, [ESCAPE, "step", entry])
        for i in range(NOWHERE):
            attack(machine, [ESCAPE, "nowhere", entry, i])
    report.test("escape/%s/nowhere" % machine, lines)

    def ends():
        for i in range(ENDS):
            r = attack(machine, [EXOCALL, "end", i])
            assert r.code != 0, "end %d: %r" % (i, r)
            assert i in SILENT_ENDS or re.search(r"^(pith|exo): ", r.err, re.M), "end %d without a word: %r" % (i, r)
    report.test("escape/%s/ends" % machine, ends)


def rings(machine, directory, report):
    """With a disk, a volume and a network; a channel that tells nonsense ends the machine, too."""
    disk = directory + "/disk"
    with open(disk, "wb") as f:
        f.truncate(4 << 20)
    os.mkdir(directory + "/volume")
    secret = os.urandom(8).hex()
    with open(directory + "/secret", "w") as f:
        f.write(secret)
    for seed in range(1, 6):
        def bound():
            r = attack(machine, [EXOCALL, "rings", seed, int(machine == "kvm")],
                       ["-m", "32m", "--disk", disk, "-v", directory + "/volume:/data"])
            assert r.code == DONE or "broke the protocol of its channel" in r.err or "qemu-system" in r.err, r
            assert secret not in r.out + r.err
            assert sorted(os.listdir(directory)) == ["disk", "secret", "volume"], os.listdir(directory)
            assert os.path.getsize(disk) == 4 << 20
        report.test("escape/%s/rings/%d" % (machine, seed), bound)


def calls(machine, total, report):
    """Instances of many seeds; one that destroys itself counts for what it has said before."""
    batch = BATCH[machine]

    def instance(seed):
        try:
            r = attack(machine, [EXOCALL, "calls", seed, batch])
        except AssertionError as e:
            raise AssertionError("seed %d: %s" % (seed, str(e)[:600]))
        said = re.findall(r"^@(\d+)", r.err, re.M)
        return int(said[-1]) if said else 0

    def all_of():
        made = seeds = 0
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            while made < total:
                assert seeds < 4 * total // batch + 8, "%d calls of %d seeds" % (made, seeds)
                made += sum(pool.map(instance, range(seeds, seeds + 4)))
                seeds += 4
        print("      escape/%s/calls: %d calls, seeds 0 to %d" % (machine, made, seeds - 1))
    report.test("escape/%s/calls" % machine, all_of)


def run(report):
    entry = syscall_entry()
    for machine in machines():
        if machine in BATCH:  # a q35 differs by its devices alone
            through(machine, entry, report)
        devices(machine, report)
        with tempfile.TemporaryDirectory() as d:
            rings(machine, d, report)
        if machine in BATCH:
            calls(machine, CALLS if machine == "qemu" else CALLS // 150, report)
