# SPDX-License-Identifier: ISC
"""busybox, lua, sqlite3, python3: what they print is what they print on the host."""
import os
import shutil
import tempfile

import harness
from harness import expect, pith, run_command

BUSYBOX = "/bin/busybox"
PYTHON = "/usr/bin/python3"

BUSYBOX_CASES = {
    "echo": (["echo", "a", "b  c"], b""),
    "cat": (["cat"], b"through\x00bytes\xff" * 1000),
    "wc": (["wc"], b"one two\nthree\n"),
    "sort": (["sort", "-r"], b"b\na\nc\n"),
    "sed": (["sed", "s/o/0/g"], b"foo\n"),
    "awk": (["awk", "{ s += $1 } END { print s / 3 }"], b"1\n2\n4\n"),
    "md5sum": (["md5sum"], b"x" * 100000),
    "sha256sum": (["sha256sum"], b"x" * 100000),
    "gzip": (["gzip", "-c"], b"squeeze " * 1000),
    "expr": (["expr", "6", "*", "7"], b""),
    "seq": (["seq", "1", "2000"], b""),
    "date": (["date", "-u", "-d", "@86400"], b""),
    "true": (["true"], b""),
    "false": (["false"], b""),
    "test": (["test", "-d", "/nowhere"], b""),
    "sh": (["sh", "-c", "i=0; while [ $i -lt 100 ]; do i=$((i+1)); done; echo $i; exit 5"], b""),
    "sh read": (["sh", "-c", "while read a b; do echo $b-$a; done"], b"1 2\n3 4\n"),
    "bc": (["bc"], b"2^200\n"),
    "cut": (["cut", "-d:", "-f2"], b"a:b:c\n"),
    "tr": (["tr", "a-z", "A-Z"], b"shout\n"),
    "od": (["od", "-c"], b"bytes\n"),
    "base64": (["base64"], b"\x00\x01\x02" * 50),
    "head": (["head", "-c", "10"], b"x" * 100000),
    "dc": (["dc", "-e", "3 4 + p"], b""),
}


def same_as_host(args, stdin=b"", options=(), env=None):
    host = run_command([str(a) for a in args], stdin=stdin, env=env)
    ours = pith(args, options, stdin=stdin)
    assert (ours.code, ours.out) == (host.code, host.out), "host %r, pith %r" % (host, ours)


def busybox(report):
    for name, (args, stdin) in BUSYBOX_CASES.items():
        report.test("busybox/" + name, lambda: same_as_host([BUSYBOX] + args, stdin))

    for args in (["mkdir", "/tmp/x"], ["ls", "/"], ["cat", "/proc/self/status"], ["df"], ["uname", "-s"], ["id", "-u"],
                 ["hostname"], ["free"], ["touch", "/tmp/y"], ["dd", "if=/dev/zero", "of=/tmp/z", "bs=1M", "count=20"]):
        report.test("busybox/runs " + args[0], lambda: expect(pith([BUSYBOX] + args)))


def lua(report):
    scripts = {
        "values": "print(10 // 3, 2^53, 'x' .. 1, #'four', 1e300 * 1e10)",
        "strings": "print((('a,b'):gsub(',', ';')), string.format('%5.2f|%x', 3.14159, 255))",
        "tables": "local t = {} for i = 1, 200000 do t[i] = i * 2 end local s = 0 for _, v in ipairs(t) do s = s + v end print(s)",
        "files": "local f = io.open('/tmp/lua', 'w') f:write('line\\n') f:close() for l in io.lines('/tmp/lua') do print(l) end os.remove('/tmp/lua')",
        "errors": "print(pcall(error, 'e')) os.exit(9)",
        "coroutines": "local c = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) print(c(), c(), c())",
    }
    for name, text in scripts.items():
        report.test("lua/" + name, lambda: same_as_host(["/usr/bin/lua5.4", "-e", text]))
    report.test("lua/stdin", lambda: same_as_host(["/usr/bin/lua5.4", "-"], b"print(io.read and 'piped')"))


def sqlite(report):
    def in_volume():
        with tempfile.TemporaryDirectory() as d:
            sql = ("create table t(a integer primary key, b text); begin; " +
                   "".join("insert into t(b) values('row %d'); " % i for i in range(300)) +
                   "commit; create index i on t(b); select count(*), max(b) from t;")
            r = expect(pith(["/usr/bin/sqlite3", "/data/db", sql], ["-v", d + ":/data"]), out="300|row 99\n")
            host = expect(run_command(["/usr/bin/sqlite3", d + "/db", "pragma integrity_check; select count(*) from t;"]))
            assert host.out == "ok\n300\n", host
            r = expect(pith(["/usr/bin/sqlite3", "/data/db", "delete from t where a > 10; vacuum; select count(*) from t;"],
                            ["-v", d + ":/data"]), out="10\n")
            assert r.err == "", r.err
            ro = pith(["/usr/bin/sqlite3", "/data/db", "insert into t(b) values('no');"], ["-v", d + ":/data:ro"])
            assert ro.code != 0 and "readonly" in ro.err, ro
            expect(pith(["/usr/bin/sqlite3", "/data/db", "pragma journal_mode=wal; insert into t(b) values('w'); select count(*) from t;"],
                        ["-v", d + ":/data"]), out="wal\n11\n")

    report.test("sqlite3/database in a volume", in_volume)
    report.test("sqlite3/memory", lambda: same_as_host(
        ["/usr/bin/sqlite3", ":memory:", "with recursive c(x) as (select 1 union all select x+1 from c where x<100000) select sum(x) from c;"]))
    report.test("sqlite3/stdin", lambda: same_as_host(["/usr/bin/sqlite3"], b"select 6*7;\n.mode csv\nselect 1,'a b';\n"))


def python(report):
    scripts = {
        "hello": "print('hello')",
        "exit": "import sys; sys.exit(17)",
        "json": "import json; print(json.dumps({'a': [1, 2.5, None], 'b': 'ü'}, sort_keys=True), json.loads('[1]'))",
        "hashlib": "import hashlib; print(hashlib.sha256(b'x' * 1000000).hexdigest(), hashlib.md5(b'').hexdigest())",
        "sqlite3": "import sqlite3; c = sqlite3.connect('/tmp/t.db'); c.execute('create table t(a)'); "
                   "c.executemany('insert into t values(?)', [(i,) for i in range(1000)]); c.commit(); "
                   "print(c.execute('select sum(a) from t').fetchone()); import os; os.unlink('/tmp/t.db')",
        "threading": "import threading, queue\nq = queue.Queue()\n"
                     "t = [threading.Thread(target=lambda i=i: q.put(sum(range(i * 10000)))) for i in range(8)]\n"
                     "[x.start() for x in t]; [x.join() for x in t]\nprint(sorted(q.get() for _ in t))",
        "files": "import os, tempfile, pathlib\nd = tempfile.mkdtemp()\np = pathlib.Path(d) / 'f'\np.write_text('text')\n"
                 "print(p.read_text(), os.listdir(d), p.stat().st_size)\np.unlink(); os.rmdir(d)",
        "socket": "import socket, threading\ns = socket.create_server(('127.0.0.1', 0))\n"
                  "def serve():\n c, _ = s.accept(); c.sendall(c.recv(100)[::-1]); c.close()\n"
                  "threading.Thread(target=serve).start()\n"
                  "c = socket.create_connection(s.getsockname()); c.sendall(b'abc'); print(c.recv(100))",
        "asyncio": "import asyncio\nasync def f(i):\n await asyncio.sleep(0.01 * i); return i\n"
                   "async def main():\n print(await asyncio.gather(*map(f, range(5))))\nasyncio.run(main())",
        "signals": "import signal, os, time\nsignal.signal(signal.SIGALRM, lambda *a: print('alarm'))\n"
                   "signal.setitimer(signal.ITIMER_REAL, 0.02)\nsignal.pause()\n"
                   "try:\n os.kill(os.getpid(), signal.SIGINT); time.sleep(1)\nexcept KeyboardInterrupt: print('interrupted')",
        "math": "import math, decimal, fractions, random; random.seed(5); "
                "print(math.sin(1), decimal.Decimal(1) / 7, fractions.Fraction(1, 3), random.random())",
        "select": "import select, os; r, w = os.pipe(); os.write(w, b'1'); p = select.epoll(); p.register(r, 1); print(p.poll(1)[0][1])",
        "mmap": "import mmap; m = mmap.mmap(-1, 8192); m[0:3] = b'abc'; print(m[0:3])",
        "zlib": "import zlib, bz2, lzma; print(len(zlib.compress(b'a' * 100000)), len(bz2.compress(b'a' * 100000)), len(lzma.compress(b'a' * 100000)))",
        "datetime": "import datetime; print(datetime.datetime.fromtimestamp(0, datetime.timezone.utc))",
        "traceback": "import sys\ntry:\n 1 / 0\nexcept ZeroDivisionError as e: print(e)\nraise SystemExit(3)",
        "recursion": "import sys\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(900))",
        "gc": "x = []\nfor i in range(300000): x.append([i])\nprint(len(x))",
        "no process": "import subprocess\ntry:\n subprocess.run(['/bin/true'])\n print('ran')\nexcept OSError as e: print('ran')",
    }
    for name, text in scripts.items():
        report.test("python3/" + name, lambda: same_as_host([PYTHON, "-c", text], env={"PATH": "/usr/bin:/bin"}))

    def script_in_volume():
        with tempfile.TemporaryDirectory() as d:
            with open(d + "/main.py", "w") as f:
                f.write("import helper, sys\nprint(helper.value, sys.argv[1:])\n")
            with open(d + "/helper.py", "w") as f:
                f.write("value = 42\n")
            expect(pith([PYTHON, "/app/main.py", "x"], ["-v", d + ":/app"]), out="42 ['x']\n")
    report.test("python3/script in a volume", script_in_volume)


def run(report):
    if not os.path.exists(BUSYBOX) and shutil.which("busybox") is None:
        report.skip("busybox", "not installed")
    else:
        busybox(report)
    lua(report)
    sqlite(report)
    python(report)
