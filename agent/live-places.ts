/**
 * Places of live links (HS_SYNC_LIVE_LINKS), taken when hellos are said and given back when the session ends. At the bound a pair that
 * differs gets the place of the link that is of least use, if that has moved nothing for a while.
 */
import { SYNC_LIMITS } from './sync-limits.ts'

export interface PlacedLink {
  /** When it last moved anything; undefined: it has not caught up. */
  readonly movedMs: number | undefined
  abort(): void
}

export interface LivePlaces {
  hasFree(): boolean
  /** Whether there was one. */
  take(differs: boolean): boolean
  giveBack(): void
}

export function createLivePlaces(max: number, links: () => Iterable<PlacedLink>, nowMs: () => number): LivePlaces {
  let taken = 0

  const leastUseful = (): PlacedLink | undefined => {
    let least: PlacedLink | undefined
    let leastMs = nowMs() - SYNC_LIMITS.uselessMs
    for (const link of links()) {
      const { movedMs } = link
      if (movedMs === undefined || movedMs >= leastMs) continue
      least = link
      leastMs = movedMs
    }
    return least
  }

  return {
    hasFree: () => taken < max,
    take(differs) {
      if (taken >= max) {
        const least = differs ? leastUseful() : undefined
        if (least === undefined) return false
        least.abort()
      }
      taken += 1
      return true
    },
    giveBack: () => void (taken -= 1),
  }
}
