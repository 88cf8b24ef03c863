/**
 * A link between two simulated robots: ordered, of seeded latency, cut after some number of messages or from outside. A cut loses what
 * is under way; a close by one side does not, as with TCP.
 */
import type { Random } from '../../base/ports.ts'
import type { Link } from '../../sync/channel.ts'
import { pause } from './sim-store.ts'

const LATENCY_TURNS_MAX = 10
/** A full send buffer: `send` resolves long after the message has arrived, as a socket that waits for "drain" does. */
const ROOM_TURNS_MAX = 60

export interface SimLink {
  readonly ends: readonly [Link, Link]
  cut(): void
}

export function createSimLink(random: Random, cutAfter: number): SimLink {
  let messages = 0
  let isOpen = true
  const isClosed = [false, false]
  const queues: Uint8Array[][] = [[], []]
  const takers: (((bytes: Uint8Array | undefined) => void) | undefined)[] = [undefined, undefined]
  const order: Promise<void>[] = [Promise.resolve(), Promise.resolve()]

  const cut = (): void => {
    isOpen = false
    for (const side of [0, 1]) {
      takers[side]?.(undefined)
      takers[side] = undefined
    }
  }
  /** `bytes` undefined: the other side has closed. */
  const deliver = (to: 0 | 1, bytes: Uint8Array | undefined): void => {
    const take = takers[to]
    takers[to] = undefined
    if (take !== undefined) take(bytes)
    else if (bytes !== undefined) queues[to]?.push(bytes)
  }
  const end = (own: 0 | 1): Link => {
    const other = own === 0 ? 1 : 0
    const dispatch = (bytes: Uint8Array | undefined): void => {
      const before = order[other]
      order[other] = (async () => {
        await before
        await pause(random, LATENCY_TURNS_MAX)
        if (bytes === undefined) isClosed[other] = true
        if (isOpen) deliver(other, bytes)
      })()
    }
    return {
      async send(bytes) {
        if (!isOpen || isClosed[own] === true) return
        if (messages >= cutAfter) return cut()
        messages += 1
        dispatch(bytes)
        await pause(random, ROOM_TURNS_MAX)
      },
      receive() {
        const bytes = queues[own]?.shift()
        if (bytes !== undefined) return Promise.resolve(bytes)
        const isOver = !isOpen || isClosed[own] === true
        return isOver ? Promise.resolve(undefined) : new Promise(resolve => void (takers[own] = resolve))
      },
      close() {
        if (isClosed[own] === true) return
        isClosed[own] = true
        takers[own]?.(undefined)
        takers[own] = undefined
        dispatch(undefined)
      },
    }
  }
  return { ends: [end(0), end(1)], cut }
}
