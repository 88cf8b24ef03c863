/** When a live link has a round: at once when somebody wants it, and not too often when this side finds by itself that it takes one. */

/** From the beginning of one live phase to the round that this side asks for by itself. */
export const ROUND_SPACING_MS = 500

export interface Rounds {
  readonly isWanted: boolean
  /** At once. */
  request(): void
  /** As soon as the last one is long enough ago. */
  requestSpaced(): void
  /** A live phase begins. */
  begin(): void
  /** It has ended with a round. */
  end(): void
  stop(): void
}

export function createRounds(after: (delayMs: number, action: () => void) => () => void, onWanted: () => void): Rounds {
  let isWanted = false
  let isSpaced = true
  let isDue = false
  let cancel = (): void => {}
  const request = (): void => {
    isWanted = true
    onWanted()
  }
  return {
    get isWanted() {
      return isWanted
    },
    request,
    requestSpaced() {
      if (isSpaced) request()
      else isDue = true
    },
    begin() {
      isSpaced = false
      cancel = after(ROUND_SPACING_MS, () => {
        isSpaced = true
        if (isDue) request()
        isDue = false
      })
    },
    end() {
      cancel()
      isWanted = false
      isDue = false
    },
    stop: () => cancel(),
  }
}
