/**
 * When the store is scrubbed (sync/scrub.ts): one pass after the other at HS_SCRUB_RATE, begun where the last one was when the agent stopped. And
 * verification, asked for by a person or due by HS_VERIFY_INTERVAL: a pass at full speed, and then a session with every reachable peer, by
 * which comes back what is gone here.
 */
import type { Logger } from 'pino'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock, Random } from '../base/ports.ts'
import type { LostVersion, ScrubCounters } from '../sync/scrub-mend.ts'
import type { Scrubber } from '../sync/scrub.ts'

export const SCRUB_TIMES = {
  /** From the start of the agent to its first pass: starting is busy enough. */
  firstMs: 30_000,
  /** From the beginning of one pass to that of the next, at least: small stores are not read all the time. */
  passMs: 3_600_000,
  /** Between two looks whether what is gone is back. */
  lostMs: 5_000,
  /** After a scrub that the store's failure has ended. */
  retryMs: 60_000,
} as const

/** Lost records that a line of the log names. */
const NAMED_MAX = 5

export interface ScrubView extends Readonly<ScrubCounters> {
  readonly state: 'idle' | 'scrubbing' | 'verifying'
  /** Unix milliseconds; undefined: none has ended since the agent started. */
  readonly lastPassAtMs: number | undefined
  /** Versions that are gone and not back. */
  readonly missing: number
  /** Verifications that have ended, and that were asked for. */
  readonly verified: number
  readonly verificationsAsked: number
}

export interface StoreScrubber {
  /** Asks for a verification; answers its number. What is under way does not count: it may have passed the damage already. */
  verify(): number
  view(): ScrubView
  close(): Promise<void>
}

export interface StoreScrubberOptions {
  readonly scrubber: Scrubber
  /** Rows a second; 0: no passes but those of verifications. */
  readonly rowsPerSecond: number
  /** 0: only when asked for. */
  readonly verifyIntervalMs: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Starts a session with every reachable peer. */
  readonly synchronise: () => void
}

export function startScrubber(options: StoreScrubberOptions): StoreScrubber {
  const { scrubber, rowsPerSecond, clock, random, log } = options
  let state: ScrubView['state'] = 'idle'
  let lastPassAtMs: number | undefined
  let missing: readonly LostVersion[] = []
  let verified = 0
  let asked = 0
  const life = { isClosing: false }
  let wake = (): void => {}

  /** Resolves after a time, or as soon as there is something to be done. */
  const rest = (delayMs: number): Promise<void> =>
    new Promise(resolve => {
      const timer = setTimeout(resolve, delayMs)
      timer.unref()
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  const isCalled = (): boolean => life.isClosing || asked > verified
  const jittered = (ms: number): number => ms * (0.75 + random.fraction() / 2)

  // Rows are looked at in short bursts, with rests that make up for them.
  const paceSlowly = async (rows: number): Promise<boolean> => {
    if (!isCalled()) await rest((rows * 1_000) / rowsPerSecond)
    return !isCalled()
  }
  const paceFast = async (): Promise<boolean> => {
    await nextTurn()
    return !life.isClosing
  }

  const scrub = async (next: 'scrubbing' | 'verifying'): Promise<boolean> => {
    state = next
    const before = { ...scrubber.counters }
    try {
      const isDone = await scrubber.run({ pace: next === 'verifying' ? paceFast : paceSlowly, isResumed: next === 'scrubbing' })
      if (isDone) lastPassAtMs = clock.wallMs()
      return isDone
    } finally {
      state = 'idle'
      report(before)
      await lookForMissing()
    }
  }

  const report = (before: Readonly<ScrubCounters>): void => {
    const { counters } = scrubber
    const more = (name: keyof ScrubCounters): number => counters[name] - before[name]
    const found = { mended: more('mended'), strays: more('strays'), sums: more('sums'), damaged: more('damaged'), lost: more('lost') }
    if (found.mended + found.strays + found.sums > 0) log.warn(found, 'a scrub made rows again that did not agree with the records')
    if (found.damaged > 0) log.error(found, 'a scrub found records that are not what was written; they are in quarantine, peers are asked')
  }

  /** Tells of what is gone, when there is more of it; strikes off what is back. */
  const lookForMissing = async (): Promise<void> => {
    const before = missing.length
    missing = await scrubber.findLost()
    const names = missing.slice(0, NAMED_MAX).map(({ collection, key }) => `${collection}/${key}`)
    if (missing.length > before)
      log.error({ missing: missing.length, records: names }, 'records of this store are gone; peers are asked for them')
    else if (missing.length === 0 && before > 0) log.info('all records that were gone are back')
  }

  const verifyOnce = async (): Promise<void> => {
    const number = asked
    if (!(await scrub('verifying'))) return
    options.synchronise()
    verified = number
  }

  const work = async (): Promise<void> => {
    const monotonicMs = (): number => clock.monotonicMs()
    let passDueMs = rowsPerSecond === 0 ? Number.POSITIVE_INFINITY : monotonicMs() + jittered(SCRUB_TIMES.firstMs)
    const verifyAfter = (): number =>
      options.verifyIntervalMs === 0 ? Number.POSITIVE_INFINITY : monotonicMs() + jittered(options.verifyIntervalMs)
    let verifyDueMs = verifyAfter()
    let isPassDone = true
    // What an earlier run of the agent has found to be gone.
    await lookForMissing().catch((error: unknown) => log.error({ err: error }, 'it could not be read what is gone'))
    while (!life.isClosing) {
      const nowMs = monotonicMs()
      if (nowMs >= verifyDueMs) asked = Math.max(asked, verified + 1)
      try {
        if (asked > verified) {
          verifyDueMs = verifyAfter()
          await verifyOnce()
        } else if (nowMs >= passDueMs) {
          // A pass that gave way to a verification goes on where it was.
          if (isPassDone) passDueMs = nowMs + jittered(SCRUB_TIMES.passMs)
          isPassDone = await scrub('scrubbing')
          if (!isPassDone) passDueMs = monotonicMs()
        } else {
          if (missing.length > 0) await lookForMissing()
          const dueMs = Math.min(passDueMs, verifyDueMs) - monotonicMs()
          await rest(Math.max(0, Math.min(dueMs, missing.length > 0 ? SCRUB_TIMES.lostMs : SCRUB_TIMES.passMs)))
        }
      } catch (error) {
        if (life.isClosing) return
        log.error({ err: error }, 'a scrub could not be ended; it is tried again')
        await rest(SCRUB_TIMES.retryMs)
      }
    }
  }
  const working = work()

  return {
    verify() {
      // One that has begun does not count for whoever asks now.
      asked = state === 'verifying' ? asked + 1 : Math.max(asked, verified + 1)
      wake()
      return asked
    },
    view: () => ({ ...scrubber.counters, state, lastPassAtMs, missing: missing.length, verified, verificationsAsked: asked }),
    async close() {
      life.isClosing = true
      wake()
      await working
    },
  }
}
