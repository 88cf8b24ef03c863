/** What the system refused lately: a call of the gossip's sockets and the error code, how often and when. Bounded; the oldest goes first. */

export const SYSTEM_FAULTS_MAX = 32

export interface SystemFault {
  /** In words: `send`, `join on wlan0`. */
  readonly what: string
  /** ENETUNREACH, EPERM, ... */
  readonly code: string
  readonly count: number
  /** Monotonic. */
  readonly lastMs: number
}

export interface SystemFaults {
  note(what: string, code: string): void
  list(): readonly SystemFault[]
}

export function createSystemFaults(monotonicMs: () => number): SystemFaults {
  const faultByKey = new Map<string, SystemFault>()
  return {
    note(what, code) {
      const key = `${code} ${what}`
      const count = (faultByKey.get(key)?.count ?? 0) + 1
      faultByKey.delete(key)
      faultByKey.set(key, { what, code, count, lastMs: monotonicMs() })
      if (faultByKey.size <= SYSTEM_FAULTS_MAX) return
      const oldest = faultByKey.keys().next()
      if (oldest.done !== true) faultByKey.delete(oldest.value)
    },
    list: () => [...faultByKey.values()],
  }
}
