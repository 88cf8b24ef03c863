/** Waits for whichever of several things happens first. */

export interface Waker {
  /** Ends the wait under way; with none under way, the next one ends at once. */
  wake(): void
  /** Resolves when woken, or after `ms`. One wait at a time. */
  wait(ms: number): Promise<void>
}

export function createWaker(): Waker {
  let isWoken = false
  let resume: (() => void) | undefined
  return {
    wake() {
      isWoken = true
      resume?.()
    },
    async wait(ms) {
      if (!isWoken) {
        const { promise, resolve } = Promise.withResolvers<void>()
        const timer = setTimeout(resolve, ms)
        resume = resolve
        await promise
        clearTimeout(timer)
        resume = undefined
      }
      isWoken = false
    },
  }
}
