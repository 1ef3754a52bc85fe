# SPDX-License-Identifier: ISC
"""Unmodified Debian programs under Pith, and what surrounds them: volumes, networks, ends, errors, crashes."""
import glob
import importlib.util
import os


def run(report):
    """The files NAME_cases.py of this folder; each has run(report)."""
    for path in sorted(glob.glob(os.path.dirname(os.path.abspath(__file__)) + "/*_cases.py")):
        spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.run(report)
