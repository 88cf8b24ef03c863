/**
 * Which of the last 1,024 packet counters of one boot were seen: a copy of a packet (heard on two sockets or interfaces, or
 * replayed) is known at once.
 *
 * A sender counts its packets to everybody, so in a large swarm few of the last 1,024 came here, and their numbers alone are kept; beyond a
 * dozen they become the bitmap of RFC 6479: a ring that is cleared word by word as the highest counter advances.
 */

const WORDS = 33
/** One word is being cleared while the window moves, so one word less than there are counts. */
const WINDOW = (WORDS - 1) * 32
const LISTED_MAX = 12

export interface ReplayWindow {
  /** Whether this counter was seen, or is so old that it may have been. */
  seen(counter: number): boolean
  mark(counter: number): void
}

export function createReplayWindow(): ReplayWindow {
  return new Window()
}

const wordOf = (counter: number): number => Math.floor(counter / 32)

class Window implements ReplayWindow {
  private highest = 0
  private listed: number[] = []
  private words: Uint32Array | undefined

  seen(counter: number): boolean {
    if (counter > this.highest) return false
    if (counter <= this.highest - WINDOW) return true
    if (this.words === undefined) return this.listed.includes(counter)
    return ((this.words[wordOf(counter) % WORDS]! >>> (counter % 32)) & 1) === 1
  }

  mark(counter: number): void {
    if (counter <= this.highest - WINDOW) return
    const before = this.highest
    this.highest = Math.max(before, counter)
    if (this.words !== undefined) {
      this.set(this.words, counter, before)
      return
    }
    if (this.listed.length >= LISTED_MAX) this.listed = this.listed.filter(one => one > this.highest - WINDOW)
    this.listed.push(counter)
    if (this.listed.length <= LISTED_MAX) return
    this.words = new Uint32Array(WORDS)
    for (const one of this.listed) this.set(this.words, one, this.highest)
    this.listed = []
  }

  private set(words: Uint32Array, counter: number, before: number): void {
    if (counter > before) {
      const fresh = Math.min(WORDS, wordOf(counter) - wordOf(before))
      for (let i = 0; i < fresh; i++) words[(wordOf(counter) - i) % WORDS] = 0
    }
    words[wordOf(counter) % WORDS]! |= 1 << (counter % 32)
  }
}
