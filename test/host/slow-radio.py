"""A slow radio between two halves of a network: two TAP devices, and what goes in at one comes out at the other, later.

Arguments: device A, device B, thousand bits a second, milliseconds of delay one way, milliseconds that may wait. Beyond these, packets are
dropped, as a full queue does. Prints "ready", and for each line that it reads the bytes that A and B have been given so far.
"""
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def open_tap(name):
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


name_a, name_b = sys.argv[1:3]
bits_per_second = float(sys.argv[3]) * 1000
delay, queue = float(sys.argv[4]) / 1000, float(sys.argv[5]) / 1000
taps = [open_tap(name_a), open_tap(name_b)]
free_at, waiting, given = [0.0, 0.0], [[], []], [0, 0]
print("ready", flush=True)
while True:
    now = time.monotonic()
    due = [side[0][0] for side in waiting if side]
    timeout = max(0.0, min(due) - now) if due else None
    readable, _, _ = select.select([*taps, 0], [], [], timeout)
    now = time.monotonic()
    if 0 in readable:
        if not os.read(0, 4096):
            sys.exit(0)
        print(*given, flush=True)
    for side in (0, 1):
        while taps[side] in readable:
            try:
                packet = os.read(taps[side], 65536)
            except BlockingIOError:
                break
            begins = max(now, free_at[side])
            if begins - now > queue:
                continue
            free_at[side] = begins + len(packet) * 8 / bits_per_second
            waiting[side].append((free_at[side] + delay, packet))
    for side in (0, 1):
        while waiting[side] and waiting[side][0][0] <= now:
            packet = waiting[side].pop(0)[1]
            given[side] += len(packet)
            try:
                os.write(taps[1 - side], packet)
            except OSError:
                pass
