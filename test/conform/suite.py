# SPDX-License-Identifier: ISC
"""The same image on every platform: one file, run in the cage, under tender/kvm, under QEMU, from GRUB; and bad files.

The files NAME_cases.py of this folder; each has cases(), a list of (name, function). They run two at a time.
"""
import concurrent.futures
import glob
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import vm  # noqa: E402


def run(report):
    found = []
    for path in sorted(glob.glob(HERE + "/*_cases.py")):
        spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += [(name, fn) for name, fn in module.cases() if report.wanted(name)]
    report.reasons = set()  # where there is no KVM a hundred tests have the same one
    with vm.images:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda c: report.test(*c), found))
    report.reasons = None
