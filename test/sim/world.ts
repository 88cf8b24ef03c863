/** Virtual time: a queue of events, run one after another. Between two events everything that was promised is let come true. */
import { createHash } from 'node:crypto'
import type { Random } from '../../base/ports.ts'
import { createSeededRandom } from '../seeded-random.ts'

export interface World {
  readonly random: Random
  /** Virtual monotonic milliseconds. */
  nowMs(): number
  /** Runs `action` after `delayMs`; the answer takes it back. */
  after(delayMs: number, action: () => void): () => void
  /** Runs events until `untilMs`, until there are none, or until what is called back after each says that it is enough. */
  run(untilMs: number, isEnough: () => boolean | Promise<boolean>): Promise<void>
  /** Writes one line of the trace. */
  note(line: string): void
  /** What happened, line by line, and a hash over all of it. */
  trace(): { readonly lines: readonly string[]; readonly digest: string }
  readonly events: number
}

/** A run that takes more events than this is taken for one that will not end. */
const EVENTS_MAX = 400_000

interface Event {
  readonly atMs: number
  readonly order: number
  readonly action: () => void
  isCancelled: boolean
}

export function createWorld(seed: number): World {
  const queue: Event[] = []
  const lines: string[] = []
  const hash = createHash('sha256')
  let nowMs = 0
  let order = 0
  let events = 0

  return {
    random: createSeededRandom(seed),
    nowMs: () => nowMs,
    get events() {
      return events
    },
    after(delayMs, action) {
      const event: Event = { atMs: nowMs + Math.max(0, delayMs), order: order++, action, isCancelled: false }
      insert(queue, event)
      return () => void (event.isCancelled = true)
    },
    async run(untilMs, isEnough) {
      for (;;) {
        const next = queue[0]
        if (next === undefined || next.atMs > untilMs) break
        pop(queue)
        if (next.isCancelled) continue
        nowMs = next.atMs
        events += 1
        if (events > EVENTS_MAX) throw new Error(`the run did not come to rest within ${EVENTS_MAX} events`)
        next.action()
        await settle()
        if (events % EVENTS_PER_TURN === 0) await nextTurn()
        // Most steps are looked at without anything to wait for.
        const enough = isEnough()
        if (typeof enough === 'boolean' ? enough : await enough) return
      }
      nowMs = Math.max(nowMs, untilMs)
    },
    note(line) {
      const stamped = `${nowMs.toFixed(1)} ${line}`
      hash.update(stamped)
      lines.push(stamped)
    },
    trace: () => ({ lines, digest: hash.copy().digest('hex').slice(0, 16) }),
  }
}

/**
 * All promises that can be kept without another event are kept: Node runs what waits for its next tick when there is nothing left of them. A
 * turn of the event loop would say the same, at ten times the price; nothing simulated waits for one.
 */
const settle = (): Promise<void> => new Promise(resolve => process.nextTick(resolve))

/** So often the process gets to what is not simulated: signals, a test runner's messages, rejections that nobody handles. */
const EVENTS_PER_TURN = 512

const nextTurn = (): Promise<void> => new Promise(resolve => void setImmediate(resolve))

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

/** A binary heap, least event first. */
function insert(heap: Event[], event: Event): void {
  let at = heap.push(event) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!isBefore(event, heap[parent]!)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = event
}

function pop(heap: Event[]): void {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
    if (!isBefore(heap[child]!, last)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
}
