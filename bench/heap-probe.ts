/**
 * Loaded into an agent's process before its program (`--import`, with --expose-gc): at SIGUSR2 it collects garbage and says in one line of
 * its output what is left. So a bench tells what an agent holds from what its garbage collector has not come to yet.
 */
import { writeSync } from 'node:fs'

const MARK = 'heap left: '
const isLoadedForIt = process.env['HEAP_PROBE'] !== undefined

/** Bytes in that line: JavaScript's objects and what they hold outside of the heap; undefined for any other line. */
export function readHeapLine(line: string): number | undefined {
  return line.startsWith(MARK) ? Number(line.slice(MARK.length)) : undefined
}

// Imported for its function alone, it does nothing.
if (isLoadedForIt) {
  const { gc } = globalThis
  if (gc === undefined) throw new Error('the heap probe takes --expose-gc')
  process.on('SIGUSR2', () => {
    // What the first one finds unreachable may hold what only the second one can free.
    gc()
    setImmediate(() => {
      gc()
      const { heapUsed, external } = process.memoryUsage()
      writeSync(1, `${MARK}${heapUsed + external}\n`)
    })
  })
}
