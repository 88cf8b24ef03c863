/** Bulk writes: records in groups, a few groups under way at once, results in the order of the lines. */
import type { LocalWrite, Replica, VersionView } from '../../sync/replica.ts'
import type { ErrorCode } from '../errors.ts'
import type { HttpLimits } from './limits.ts'
import type { JsonFault } from './json-object.ts'
import { isFault, type RecordInput } from './record-body.ts'

/** One record of the request, or why it is none. */
export interface BulkLine {
  readonly line: number
  readonly record: RecordInput | JsonFault
}

export type LineResult =
  | { readonly ok: true; readonly line: number; readonly key: string; readonly version: VersionView | undefined }
  | { readonly ok: false; readonly line: number; readonly code: ErrorCode; readonly detail: string }

/** Refusals that concern the whole request: to go on would repeat them for every line. */
const REQUEST_WIDE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'HS_STORE_WRITE_FAILED',
  'HS_DISK_FULL',
  'HS_COLLECTION_LIMIT',
  'HS_INVALID_NAME',
])

export const isRequestWide = (code: ErrorCode): boolean => REQUEST_WIDE.has(code)

/**
 * Writes lines as they come and yields the results of each group once it is durable. A group is handed to the store when it is full and
 * whenever the input pauses: a slow sender, or one that waits for its acknowledgements, is answered too. Reads no further while
 * `groupsInFlightMax` groups are under way or nobody takes the results: so memory is bounded, and a slow disk slows the sender.
 * When `lines` throws, everything that was complete by then is written and its results come before the error.
 */
export async function* writeLines(
  replica: Pick<Replica, 'write'>,
  collection: string,
  lines: AsyncIterable<Iterable<BulkLine>>,
  limits: Pick<HttpLimits, 'groupRecordsMax' | 'groupBytesMax' | 'groupsInFlightMax' | 'groupPauseMs'>,
): AsyncGenerator<readonly LineResult[]> {
  const inFlight: Promise<readonly LineResult[]>[] = []
  let group: BulkLine[] = []
  let groupBytes = 0

  const submit = (): void => {
    if (group.length === 0) return
    const results = writeGroup(replica, collection, group)
    // Awaited in its turn; without this a failure before that would count as unhandled.
    results.catch(() => {})
    inFlight.push(results)
    group = []
    groupBytes = 0
  }

  const input = lines[Symbol.asyncIterator]()
  let failure: { readonly error: unknown } | undefined
  try {
    let coming = settle(input.next())
    for (;;) {
      const hasWork = group.length > 0 || inFlight.length > 0
      const arrived = hasWork ? await orPause(coming, limits.groupPauseMs) : await coming
      if (arrived === undefined) {
        submit()
        const oldest = inFlight.shift()
        if (oldest !== undefined) yield await oldest
        continue
      }
      if ('error' in arrived) {
        failure = arrived
        break
      }
      if (arrived.done === true) break
      for (const line of arrived.value) {
        group.push(line)
        if (!isFault(line.record)) groupBytes += line.record.bytes
        if (group.length < limits.groupRecordsMax && groupBytes < limits.groupBytesMax) continue
        submit()
        const oldest = inFlight.length < limits.groupsInFlightMax ? undefined : inFlight.shift()
        if (oldest !== undefined) yield await oldest
      }
      coming = settle(input.next())
    }
    submit()
    while (inFlight.length > 0) {
      const oldest = inFlight.shift()
      if (oldest !== undefined) yield await oldest
    }
  } finally {
    await Promise.allSettled(inFlight)
    // Not awaited: it waits for input that is still to come, perhaps from a sender who waits for the answer.
    input.return?.().catch(() => {})
  }
  if (failure !== undefined) throw failure.error
}

type Settled<T> = T | { readonly error: unknown }

/** A failure as a value: it may come while something else is awaited. */
const settle = <T>(promise: Promise<T>): Promise<Settled<T>> => promise.catch((error: unknown) => ({ error }))

/** What arrives, or undefined when nothing does for `pauseMs`. */
async function orPause<T>(coming: Promise<T>, pauseMs: number): Promise<T | undefined> {
  const { promise: pause, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), pauseMs)
  try {
    return await Promise.race([coming, pause])
  } finally {
    clearTimeout(timer)
  }
}

async function writeGroup(replica: Pick<Replica, 'write'>, collection: string, group: readonly BulkLine[]): Promise<readonly LineResult[]> {
  const writes: LocalWrite[] = []
  for (const { record } of group) if (!isFault(record)) writes.push({ collection, key: record.key, content: record.content })
  const outcomes = writes.length === 0 ? [] : await replica.write(writes)
  let next = 0
  return group.map(({ line, record }): LineResult => {
    if (isFault(record)) return { ok: false, line, code: record.code, detail: record.detail }
    const outcome = outcomes[next++]
    if (outcome === undefined) return { ok: false, line, code: 'HS_INTERNAL', detail: 'the store gave no answer for this line' }
    return outcome.ok
      ? { ok: true, line, key: outcome.key, version: outcome.version }
      : { ok: false, line, code: outcome.code, detail: outcome.detail }
  })
}
