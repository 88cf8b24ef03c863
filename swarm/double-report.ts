/** A double of this node: another process with our node id in another boot, such as a copied SD card. It is reported, and told of us. */
import { isUnicast } from './address.ts'
import type { Address } from './address.ts'
import type { BootId } from './identity.ts'
import { greetStranger } from './state.ts'
import type { SwarmState } from './state.ts'

/** Reports are at least this far apart. */
const DOUBLE_REPORT_MS = 60_000
const DOUBLE_GREET_MS = 5_000

export interface DoubleReport {
  /** Our node id in another boot than ours is there: at most once a minute it is said. */
  report(bootId: BootId, from: Address): void
  isReported(): boolean
  /** It should hear of us too. */
  greet(address: Address): void
}

export function createDoubleReport(state: SwarmState): DoubleReport {
  let reportedMs = -Infinity
  let greetedMs = -Infinity
  return {
    report(bootId, from) {
      if (state.nowMs - reportedMs < DOUBLE_REPORT_MS) return
      reportedMs = state.nowMs
      state.effects.push({ type: 'duplicate-identity', nodeId: state.options.nodeId, bootId, from })
    },
    isReported: () => state.nowMs - reportedMs < DOUBLE_REPORT_MS,
    greet(address) {
      if (state.nowMs - greetedMs < DOUBLE_GREET_MS || !isUnicast(address.host)) return
      greetedMs = state.nowMs
      greetStranger(state, address)
    },
  }
}
