/** Ctrl-C for commands that go on until somebody ends them: that is how they are done, not a failure. */
import { constants } from 'node:os'

/** Aborts at the first SIGINT or SIGTERM; at the second one the process ends at once. */
export function createInterrupt(): AbortSignal {
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (interrupt.signal.aborted) process.exit(128 + constants.signals[signal])
      interrupt.abort()
    })
  }
  return interrupt.signal
}
