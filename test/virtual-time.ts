/** Time for tests of what waits: it stands still until it is told to go on, and then runs what is due, in order. */
export interface VirtualTime {
  nowMs(): number
  after(delayMs: number, action: () => void): () => void
  /** Lets everything come true that needs no time. */
  settle(): Promise<void>
  /** Goes on by so much, and lets everything come true. */
  pass(ms: number): Promise<void>
}

export function createVirtualTime(): VirtualTime {
  let nowMs = 0
  const due = new Set<{ readonly atMs: number; readonly action: () => void }>()
  const settle = async (): Promise<void> => {
    // The stores and links of these tests take turns of the microtask queue only: all are over when the event loop turns.
    for (let turn = 0; turn < 3; turn++) await new Promise<void>(resolve => void setImmediate(resolve))
  }
  return {
    nowMs: () => nowMs,
    after(delayMs, action) {
      const timer = { atMs: nowMs + delayMs, action }
      due.add(timer)
      return () => void due.delete(timer)
    },
    settle,
    async pass(ms) {
      const untilMs = nowMs + ms
      for (;;) {
        await settle()
        const next = [...due].toSorted((a, b) => a.atMs - b.atMs)[0]
        if (next === undefined || next.atMs > untilMs) break
        nowMs = next.atMs
        due.delete(next)
        next.action()
      }
      nowMs = untilMs
      await settle()
    },
  }
}
