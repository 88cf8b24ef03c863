/**
 * A wall clock of its own for one process: a library that is loaded before libc and moves CLOCK_REALTIME, nothing else, by as much as a file
 * says at that moment. Monotonic time stays what it is, as when somebody sets a clock.
 */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { makeFolder } from '../agent-process.ts'

const run = promisify(execFile)

const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset_seconds;

__attribute__((constructor)) static void open_offset(void) {
  const char *path = getenv("CLOCK_OFFSET_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *at = mmap(0, sizeof *offset_seconds, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (at != MAP_FAILED) offset_seconds = at;
}

static int64_t offset(void) { return offset_seconds ? *offset_seconds : 0; }

int clock_gettime(clockid_t id, struct timespec *to) {
  static int (*next)(clockid_t, struct timespec *);
  if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = next(id, to);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) to->tv_sec += offset();
  return result;
}

int gettimeofday(struct timeval *restrict to, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  to->tv_sec = now.tv_sec;
  to->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *to) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (to) *to = now.tv_sec;
  return now.tv_sec;
}
`

export interface ShiftedClock {
  /** What the process needs in its environment. */
  readonly env: Readonly<Record<string, string>>
  /** Sets its wall clock to this many seconds ahead of the machine's (behind it: less than 0), at once, also while it runs. */
  set(seconds: number): Promise<void>
}

/** Compiles the library; throws where there is no C compiler. */
export async function createShiftedClock(seconds: number): Promise<ShiftedClock> {
  const folder = await makeFolder('hs-clock-')
  const [source, library, file] = ['clock.c', 'clock.so', 'offset'].map(name => join(folder, name)) as [string, string, string]
  await writeFile(source, SOURCE)
  await run('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'])
  const set = (to: number): Promise<void> => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(to))
    // In place: the process has this file mapped.
    return writeFile(file, bytes, { flag: 'r+' })
  }
  await writeFile(file, Buffer.alloc(8))
  await set(seconds)
  return { env: { LD_PRELOAD: library, CLOCK_OFFSET_FILE: file }, set }
}

/** Why a clock cannot be shifted here; undefined when it can. */
export async function findClockObstacle(): Promise<string | undefined> {
  try {
    await run('cc', ['--version'])
    return undefined
  } catch {
    return 'shifting the clock of one process takes a C compiler'
  }
}
