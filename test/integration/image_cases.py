# SPDX-License-Identifier: ISC
"""Images: built by `pith build`, run by `pith run` anywhere, refused when something is wrong with them."""
import os
import shutil
import subprocess
import tempfile

import harness
from harness import PITH, expect, run_command
from image import Image

BUSYBOX = "/bin/busybox"


def build(args, cwd=None):
    return expect(run_command([PITH, "build"] + args, cwd=cwd), out="")


def run_image(args, options=(), **kw):
    return run_command([PITH, "run", "--net", "none"] + list(options) + args, **kw)


def one_line(r, code, has):
    expect(r, code=code, out="", err_has=has)
    assert len(r.err.splitlines()) == 1, "not one line: %r" % r.err


def run(report):
    top = tempfile.mkdtemp(prefix="pith-image-")
    image = top + "/bb.pith"

    def built():
        build(["-o", image, "-e", "A=from the image", "-w", "/tmp", BUSYBOX, "sh", "-c", "echo $A $B $PWD $0 $#", "zero", "one"])
        assert os.stat(image).st_mode & 0o7777 == 0o755, "mode %o" % os.stat(image).st_mode
        expect(run_image([image]), out="from the image /tmp zero 1\n")

    def overridden():
        expect(run_image([image], ["-e", "B=b", "-w", "/"]), out="from the image b / zero 1\n")
        expect(run_image([image], ["-e", "A=user"]), out="user /tmp zero 1\n")
        expect(run_image([image, "echo", "other", "arguments"]), out="other arguments\n")

    def reproducible():
        build(["-o", top + "/1.pith", BUSYBOX, "true"])
        build(["-o", top + "/2.pith", BUSYBOX, "true"])
        shutil.rmtree(top + "/cache", ignore_errors=True)
        env = dict(os.environ, XDG_CACHE_HOME=top + "/cache", TERM="other", HOME="/nonexistent")
        os.mkdir(top + "/cache")
        expect(run_command([PITH, "build", "-o", top + "/3.pith", BUSYBOX, "true"], env=env))
        first = open(top + "/1.pith", "rb").read()
        assert first == open(top + "/2.pith", "rb").read(), "two builds differ"
        assert first == open(top + "/3.pith", "rb").read(), "a build with another cache differs"

    def standalone():
        """The program and its libraries come from the image: with a root directory that has neither."""
        src = top + "/hello.sh"
        with open(src, "w") as f:
            f.write("#!/bin/sh\necho script $0 $@\n")
        os.chmod(src, 0o755)
        build([src, "default"], cwd=top)
        os.unlink(src)
        expect(run_image(["hello.sh.pith"], cwd=top), out="script %s default\n" % src)
        expect(run_image(["./hello.sh.pith", "a", "b"], cwd=top), out="script %s a b\n" % src)

    def in_path():
        env = dict(os.environ, PATH=top + ":" + os.environ["PATH"])
        shutil.copy(image, top + "/bbimage")
        expect(run_image(["bbimage", "echo", "found"], env=env), out="found\n")

    def volumes():
        os.makedirs(top + "/v", exist_ok=True)
        expect(run_image([image, "sh", "-c", "echo inside >/v/f"], ["-v", top + "/v:/v"]))
        assert open(top + "/v/f").read() == "inside\n"

    def elf():
        r = subprocess.run(["readelf", "-lW", image], capture_output=True, text=True, check=True)
        assert r.stderr == "" and "LOAD" in r.stdout, r

    def other_library_os():
        """One that differs from what pith carries is run as it is."""
        other = Image(image)
        other.bytes = other.bytes.replace(b"the library OS cannot start", b"the Library OS cannot start", 1)
        with open(top + "/other.pith", "wb") as f:
            f.write(other.add_up().bytes)
        expect(run_image([top + "/other.pith"]), out="from the image /tmp zero 1\n")

    def damaged():
        data = open(image, "rb").read()
        def case(name, change, why):
            with open(top + "/" + name, "wb") as f:
                f.write(change(data))
            os.chmod(top + "/" + name, 0o755)
            one_line(run_image([top + "/" + name]), 126, why)
        case("cut", lambda b: b[:-4096], "cut short")
        case("half", lambda b: b[:100000], "cut short")
        case("env", lambda b: b.replace(b"A=from the image", b"A=from the enemy"), "damaged")
        at = data.index(b"pithimg\0")
        case("version", lambda b: b[:at + 8] + b"\x63" + b[at + 9:], "another version")

    def not_written():
        os.makedirs(top + "/full", exist_ok=True)
        one_line(run_command([PITH, "build", "-o", top + "/none/x", BUSYBOX]), 125, "-o FILE")
        os.makedirs(top + "/full/dir", exist_ok=True)
        one_line(run_command([PITH, "build", "-o", top + "/full/dir", BUSYBOX]), 125, "-o FILE")
        assert os.listdir(top + "/full") == ["dir"], "left behind: %r" % os.listdir(top + "/full")
        one_line(run_command([PITH, "build", image]), 125, "an image already")

    for name, fn in (("built", built), ("overridden", overridden), ("reproducible", reproducible), ("standalone", standalone),
                     ("in PATH", in_path), ("volumes", volumes), ("readelf", elf), ("other library OS", other_library_os),
                     ("damaged", damaged), ("not written", not_written)):
        report.test("image/" + name, fn)
    shutil.rmtree(top)
