# SPDX-License-Identifier: ISC
"""A Linux kernel as the guest of build/pith-net: proves the user-mode network without the library OS.

net_guest.py [-p SPEC]... -- COMMAND...   (needs root: a TAP device in a new network namespace)
Runs COMMAND in a namespace whose only link is a TAP device, and moves frames between it and pith-net in the
batch format of abi/frames.h. Ends with COMMAND's exit code.
"""
import ctypes, fcntl, os, socket, struct, subprocess, sys, threading

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 2, 0x1000, 0x4000
TUNSETOFFLOAD, TUN_F_CSUM = 0x400454D0, 1


def tap_open():
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM)  # the kernel leaves checksums to pith-net
    for c in ("link set lo up", "link set tap0 address 52:54:00:12:34:56 mtu 65520 up",
              "addr add 10.0.2.15/24 dev tap0", "route add default via 10.0.2.2"):
        subprocess.run(["ip"] + c.split(), check=True)
    return fd


def tap_to_net(tap, sock):
    while True:
        f = os.read(tap, 70000)
        rec = struct.pack("<HHI", 0, 0, len(f) - 10) + f
        sock.send(rec + bytes(-len(rec) % 4))


def net_to_tap(tap, sock):
    while True:
        m = sock.recv(131072)
        if not m:
            return
        at = 0
        while at < len(m):
            n = struct.unpack_from("<I", m, at + 4)[0]
            os.write(tap, m[at + 8:at + 18 + n])
            at += (18 + n + 3) & ~3


def main():
    cut = sys.argv.index("--")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    r, w = os.pipe()
    helper = os.path.join(os.path.dirname(__file__), "../../build/pith-net")
    child = subprocess.Popen([helper, "--fd", str(theirs.fileno()), "--ready-fd", str(w)] + sys.argv[1:cut],
                             pass_fds=(theirs.fileno(), w))
    theirs.close()
    os.close(w)
    line = os.read(r, 300).decode()
    if line != "ok\n":
        sys.stderr.write(line)
        sys.exit(child.wait())
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        sys.exit("net_guest: no network namespace")
    tap = tap_open()
    for f in (tap_to_net, net_to_tap):
        threading.Thread(target=f, args=(tap, ours), daemon=True).start()
    code = subprocess.run(sys.argv[cut + 1:]).returncode
    ours.shutdown(socket.SHUT_RDWR)
    child.wait(10)
    os._exit(code)


main()
