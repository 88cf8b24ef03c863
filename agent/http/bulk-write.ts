/** Bulk writes: records in groups, a few groups under way at once, results in the order of the lines. */
import type { LocalWrite, Replica, VersionView } from '../../sync/replica.ts'
import type { ErrorCode } from '../errors.ts'
import type { HttpLimits } from './limits.ts'
import { isFault, type RecordFault, type RecordInput } from './record-body.ts'

/** One record of the request, or why it is none. */
export interface BulkLine {
  readonly line: number
  readonly record: RecordInput | RecordFault
}

export type LineResult =
  | { readonly ok: true; readonly line: number; readonly key: string; readonly version: VersionView | undefined }
  | { readonly ok: false; readonly line: number; readonly code: ErrorCode; readonly detail: string }

/** Refusals that concern the whole request: to go on would repeat them for every line. */
const REQUEST_WIDE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['HS_STORE_WRITE_FAILED', 'HS_COLLECTION_LIMIT', 'HS_INVALID_NAME'])

export const isRequestWide = (code: ErrorCode): boolean => REQUEST_WIDE.has(code)

/**
 * Writes lines as they come and yields the results of each group once it is durable. Reads no further while `groupsInFlightMax` groups
 * are under way or nobody takes the results: so memory is bounded, and a slow disk slows the sender.
 * When `lines` throws, the results of what was handed to the store still come before the error; lines of the unfinished group are not
 * written.
 */
export async function* writeLines(
  replica: Pick<Replica, 'write'>,
  collection: string,
  lines: AsyncIterable<Iterable<BulkLine>>,
  limits: Pick<HttpLimits, 'groupRecordsMax' | 'groupBytesMax' | 'groupsInFlightMax'>,
): AsyncGenerator<readonly LineResult[]> {
  const inFlight: Promise<readonly LineResult[]>[] = []
  let group: BulkLine[] = []
  let groupBytes = 0

  const submit = (): void => {
    const results = writeGroup(replica, collection, group)
    // Awaited in its turn; without this a failure before that would count as unhandled.
    results.catch(() => {})
    inFlight.push(results)
    group = []
    groupBytes = 0
  }

  let failure: { readonly error: unknown } | undefined
  try {
    try {
      for await (const chunk of lines) {
        for (const line of chunk) {
          group.push(line)
          if (!isFault(line.record)) groupBytes += line.record.bytes
          if (group.length < limits.groupRecordsMax && groupBytes < limits.groupBytesMax) continue
          submit()
          const oldest = inFlight.length < limits.groupsInFlightMax ? undefined : inFlight.shift()
          if (oldest !== undefined) yield await oldest
        }
      }
      if (group.length > 0) submit()
    } catch (error) {
      failure = { error }
    }
    while (inFlight.length > 0) {
      const oldest = inFlight.shift()
      if (oldest !== undefined) yield await oldest
    }
  } finally {
    await Promise.allSettled(inFlight)
  }
  if (failure !== undefined) throw failure.error
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
