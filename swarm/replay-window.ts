/**
 * Which of the last 1,024 packet counters of one boot were seen: a copy of a packet (heard on two sockets or interfaces, or
 * replayed) is known at once. Source: RFC 6479, the bitmap as a ring, cleared word by word as the highest counter advances.
 */

const WORDS = 33
/** One word is being cleared while the window moves, so one word less than there are counts. */
const WINDOW = (WORDS - 1) * 32

export interface ReplayWindow {
  /** Whether this counter was seen, or is so old that it may have been. */
  seen(counter: number): boolean
  mark(counter: number): void
}

/** Counters below `first` count as seen: what was sent before its sender was known to be there may be a recording. */
export function createReplayWindow(first = 1): ReplayWindow {
  const words = new Uint32Array(WORDS)
  let highest = first - 1
  const wordOf = (counter: number): number => Math.floor(counter / 32)
  return {
    seen(counter) {
      if (counter > highest) return false
      if (counter < first || counter <= highest - WINDOW) return true
      return ((words[wordOf(counter) % WORDS]! >>> (counter % 32)) & 1) === 1
    },
    mark(counter) {
      if (counter <= highest - WINDOW) return
      if (counter > highest) {
        const fresh = Math.min(WORDS, wordOf(counter) - wordOf(highest))
        for (let i = 0; i < fresh; i++) words[(wordOf(counter) - i) % WORDS] = 0
        highest = counter
      }
      words[wordOf(counter) % WORDS]! |= 1 << (counter % 32)
    },
  }
}
