"""A disk as bad cards are: a file system with one file, "disk", whose writes lie in a volatile cache until the file is synced.

Arguments: the image on an honest disk, a directory to mount on. Speaks the kernel's protocol itself (linux/fuse.h, 7.31), so no library is needed.
Prints "ready". A line "cut SEED" on standard input cuts the power: of what was not synced every sector of 512 bytes, drawn by itself, gets to the image or
does not; "cut KEPT LOST" is printed, and from then on every access fails. The end of standard input ends it. A sync takes as long as on a card, so that
there is something to lose as a rule.
"""
import ctypes
import errno
import os
import random
import select
import struct
import sys
import time

LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, INTERRUPT, DESTROY, BATCH_FORGET = (
    1, 2, 3, 4, 14, 15, 16, 17, 18, 20, 25, 26, 36, 38, 42)
ROOT, DISK = 1, 2
SECTOR = 512
WRITE_MAX = 128 * 1024
SYNC_SECONDS = 0.02

image_path, folder = sys.argv[1:3]
image = os.open(image_path, os.O_RDWR)
size = os.fstat(image).st_size
dirty = {}
is_cut = False
# When syncs that are under way are over, and whose they are.
syncing = []

device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0,default_permissions".encode()
if libc.mount(b"torn-disk", folder.encode(), b"fuse.torn-disk", 0, options) != 0:
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")


def attributes(node):
    mode = 0o40700 if node == ROOT else 0o100600
    length = 0 if node == ROOT else size
    return struct.pack("<6Q10I", node, length, length // SECTOR, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def read(offset, count):
    bytes_ = bytearray(os.pread(image, count, offset))
    for at in range(offset - offset % SECTOR, offset + len(bytes_), SECTOR):
        sector = dirty.get(at)
        if sector is None:
            continue
        begin, end = max(at, offset), min(at + SECTOR, offset + len(bytes_))
        bytes_[begin - offset:end - offset] = sector[begin - at:end - at]
    return bytes(bytes_)


def write(offset, data):
    end = offset + len(data)
    at = offset
    while at < end:
        base = at - at % SECTOR
        upto = min(base + SECTOR, end)
        sector = bytearray(read(base, SECTOR))
        sector[at - base:upto - base] = data[at - offset:upto - offset]
        dirty[base] = bytes(sector)
        at = upto


def sync():
    for at, sector in dirty.items():
        os.pwrite(image, sector, at)
    dirty.clear()


def cut(seed):
    global is_cut
    drawn = random.Random(seed)
    kept = [at for at in sorted(dirty) if drawn.random() < 0.5]
    for at in kept:
        os.pwrite(image, dirty[at], at)
    print("cut", len(kept), len(dirty) - len(kept), flush=True)
    dirty.clear()
    is_cut = True


def answer(opcode, node, body):
    """The answer's bytes, or a number of errno."""
    if opcode == INIT:
        major, minor, readahead = struct.unpack_from("<3I", body)
        return struct.pack("<4I2H2I2HI7I", 7, min(minor, 31), readahead, 0, 16, 12, WRITE_MAX, 1, 0, 0, 0, *[0] * 7)
    if opcode in (DESTROY, RELEASE):
        return b""
    if opcode == GETATTR or opcode == SETATTR:
        return struct.pack("<Q2I", 0, 0, 0) + attributes(node)
    if opcode == LOOKUP:
        return struct.pack("<4Q2I", DISK, 0, 0, 0, 0, 0) + attributes(DISK) if body == b"disk\0" else errno.ENOENT
    if opcode == OPEN:
        return struct.pack("<Q2I", 0, 0, 0) if node == DISK else errno.EISDIR
    if opcode == STATFS:
        return struct.pack("<5Q4I6I", 0, 0, 0, 0, 0, 4096, 255, 4096, 0, *[0] * 6)
    if is_cut:
        return errno.EIO
    if opcode == READ:
        _, offset, count = struct.unpack_from("<QQI", body)
        return read(offset, count)
    if opcode == WRITE:
        _, offset, count = struct.unpack_from("<QQI", body)
        write(offset, body[40:40 + count])
        return struct.pack("<2I", count, 0)
    if opcode == FLUSH:
        return b""
    return errno.ENOSYS


def reply(unique, result):
    status, payload = (-result, b"") if isinstance(result, int) else (0, result)
    os.write(device, struct.pack("<IiQ", 16 + len(payload), status, unique) + payload)


print("ready", flush=True)
commands = b""
while True:
    timeout = max(0.0, syncing[0][0] - time.monotonic()) if syncing else None
    readable, _, _ = select.select([device, 0], [], [], timeout)
    while syncing and (is_cut or syncing[0][0] <= time.monotonic()):
        _, unique = syncing.pop(0)
        if not is_cut:
            sync()
        reply(unique, errno.EIO if is_cut else b"")
    if 0 in readable:
        chunk = os.read(0, 4096)
        if not chunk:
            break
        commands += chunk
        while b"\n" in commands:
            line, _, commands = commands.partition(b"\n")
            cut(int(line.split()[1]))
    if device in readable:
        try:
            request = os.read(device, WRITE_MAX + 4096)
        except OSError as error:
            if error.errno == errno.ENODEV:
                break
            if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            raise
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        if opcode == FSYNC and not is_cut:
            syncing.append((time.monotonic() + SYNC_SECONDS, unique))
        else:
            reply(unique, answer(opcode, node, request[40:]))
