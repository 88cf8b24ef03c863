/** What the store tells of itself: in the log when it changes, in `/readyz` while it lasts. */
import type { Logger } from 'pino'
import type { Clock } from '../base/ports.ts'
import type { ReplicaNotice } from '../sync/replica-options.ts'
import type { Comeback } from './comeback.ts'
import type { OutageLogState } from './outage-log.ts'

export interface StoreHealth {
  notice(notice: ReplicaNotice): void
  /** The store was damaged, and is back. */
  cameBack(comeback: Comeback): void
  /** Why writes do not work now; empty when they do. */
  faults(): readonly string[]
  /** What a person should know although the agent serves. */
  warnings(outageLog: OutageLogState | undefined, damage: string | undefined): readonly string[]
}

const WHAT_HAPPENED: Readonly<Record<Comeback['kind'], string>> = {
  replayed: 'the database had lost its newest writes',
  repaired: 'the database was damaged and has been repaired',
  rebuilt: 'the database was damaged beyond repair, and another one is in its place',
  missing: 'the database was gone, and another one is in its place',
}

/** One sentence, for the log, `/readyz` and the command line. */
export function describeComeback({ kind, reason, quarantines, redone, rescued, salvaged, damaged }: Comeback): string {
  const counts = [
    `${redone + rescued} writes came back from the outage log`,
    ...(kind === 'rebuilt' ? [`${salvaged} versions from what is left of the old one`] : []),
    ...(damaged > 0 ? [`${damaged} versions there are damaged`] : []),
    ...(kind === 'replayed' ? [] : ['what else is missing comes from peers']),
    ...(quarantines.length > 0 ? [`the old one is kept in ${quarantines.join(', ')}`] : []),
  ]
  return `${WHAT_HAPPENED[kind]} (${reason}): ${counts.join('; ')}`
}

export function createStoreHealth(log: Logger, clock: Pick<Clock, 'monotonicMs'>): StoreHealth {
  let fault: string | undefined
  let comeback: Comeback | undefined
  const voided = createVoidedLog(log, clock)
  return {
    notice(notice) {
      switch (notice.kind) {
        case 'write-failed': {
          const reason = notice.error instanceof Error ? notice.error.message : String(notice.error)
          if (reason !== fault) log.error({ reason }, 'the store cannot write; writes are refused, nothing acknowledged is lost')
          fault = reason
          return
        }
        case 'write-recovered':
          log.info('the store writes again')
          fault = undefined
          return
        case 'quarantined':
          log.warn(
            { collection: notice.collection, versions: notice.versions },
            'records of a deleted collection that the deletion had not seen were put into quarantine',
          )
          return
        case 'voided':
          voided.count(notice.collection, notice.dots.length)
      }
    },
    cameBack(what) {
      comeback = what
      const { kind, reason, quarantines, redone, rescued, salvaged, damaged } = what
      log.warn({ kind, reason, quarantines, redone, rescued, salvaged, damaged }, describeComeback(what))
    },
    warnings: (outageLog, damage) => [
      ...(damage === undefined ? [] : [`the database is damaged, and the next start mends it: ${damage}`]),
      ...(comeback === undefined ? [] : [describeComeback(comeback)]),
      ...(outageLog === undefined || outageLog.droppedWrites === 0
        ? []
        : [`the outage log is full: ${outageLog.droppedWrites} writes that perhaps nobody else has are in the database alone`]),
    ],
    faults: () => (fault === undefined ? [] : [`the store cannot write: ${fault}`]),
  }
}

const VOIDED_PAUSE_MS = 60_000

/** Says of each collection at most once a minute how many writes its bound has cost since. */
function createVoidedLog(log: Logger, clock: Pick<Clock, 'monotonicMs'>) {
  const silenceByName = new Map<string, { readonly untilMs: number; versions: number }>()
  return {
    count(collection: string, versions: number): void {
      const nowMs = clock.monotonicMs()
      const silence = silenceByName.get(collection)
      if (silence !== undefined && nowMs < silence.untilMs) {
        silence.versions += versions
        return
      }
      const all = versions + (silence?.versions ?? 0)
      silenceByName.set(collection, { untilMs: nowMs + VOIDED_PAUSE_MS, versions: 0 })
      log.warn({ collection, versions: all }, 'a full collection gave up writes that nobody else is known to have')
    },
  }
}
