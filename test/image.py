# SPDX-License-Identifier: ISC
"""Images as bytes (abi/image.h), for tests that change them."""
import struct

PT_LOAD, PT_NOTE, PT_PACK, PT_BOOT, PT_SYMBOLS, PT_MANIFEST = 1, 4, 0x70690001, 0x70690002, 0x70690003, 0x70690004


def image_sum(data, s=0xcbf29ce484222325):
    mask = (1 << 64) - 1
    words = struct.unpack("<%dQ" % ((len(data) + 7) // 8), data + bytes(-len(data) % 8))
    for k in range(8):
        s = (s ^ sum(words[k::8]) & mask) * 0x100000001b3 & mask
    return s


class Image:
    """The bytes of an image and where its parts are; what is changed is not checked."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.bytes = bytearray(f.read())
        self.phoff, = struct.unpack_from("<Q", self.bytes, 32)
        self.phnum, = struct.unpack_from("<H", self.bytes, 56)
        self.head = self.part(PT_PACK)[0]

    def header(self, i):
        """Offset of program header i, and its type, flags, offset, vaddr, paddr, filesz, memsz, align."""
        at = self.phoff + 56 * i
        return at, struct.unpack_from("<IIQQQQQQ", self.bytes, at)

    def find(self, kind):
        return next((at, h) for at, h in map(self.header, range(self.phnum)) if h[0] == kind)

    def part(self, kind):
        _, h = self.find(kind)
        return h[2], h[5]

    def put(self, at, form, *values):
        struct.pack_into("<" + form, self.bytes, at, *values)
        return self

    def put_header(self, kind, field, form, value):
        return self.put(self.find(kind)[0] + field, form, value)

    def add_up(self):
        """The sum of the head again, so that what is behind the sum's check is reached."""
        at = self.part(PT_MANIFEST)[0] + 24
        return self.put(at, "Q", image_sum(self.bytes[at + 8:self.head], image_sum(self.bytes[:at])))

    def boot(self):
        at, n = self.part(PT_BOOT)
        return bytearray(self.bytes[at:at + n])

    def append(self, blob):
        """Other boot information, on the next page."""
        self.bytes += bytes(-len(self.bytes) % 4096) + blob
        return self
