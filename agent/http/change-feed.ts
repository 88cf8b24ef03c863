/**
 * The replica's change feed as the API tells it: cursors, reads that consumers at the same place share, and the news that there is
 * more. A cursor is `<feed>.<sequence>`; the feed's name comes from the store, so a rebuilt store has another one.
 */
import type { Change, Replica } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'
import { createJsonWriter } from './record-json.ts'

/** Digits of the store's id in a cursor: 64 bits tell any two stores apart. */
const FEED_DIGITS = 16
const CURSOR = /^([0-9a-f]{16})\.(0|[1-9]\d{0,15})$/

/** Changes of one read. */
const READ_CHANGES_MAX = 64
/** A read that brought more bytes than this makes the next one of that consumer shorter: a change can have megabytes. */
const READ_BYTES_AIM = 1024 * 1024

export interface FeedPage {
  readonly changes: readonly Change[]
  /** The sequence to go on from. */
  readonly next: number
}

/** Where a consumer begins. `reset`: its cursor does not belong here, why, and so it begins at the beginning. */
export interface FeedStart {
  readonly after: number
  readonly reset?: string
}

export interface FeedReader {
  /** The next changes behind `after`; few when they are large. */
  read(after: number): Promise<FeedPage>
}

export interface ChangeFeed {
  /** The last durable sequence. */
  end(): number
  cursorAt(sequence: number): string
  /** `undefined`: from now on; `0`: from the beginning. Throws HS_INVALID_CURSOR for what is no cursor. */
  startAt(cursor: string | undefined): FeedStart
  /** One for each consumer: it remembers how much a read brought. */
  createReader(): FeedReader
  /** A change as one line of JSON, made once for all consumers. */
  lineOf(change: Change): Buffer
  /** Calls back when there is more, until the returned function is called. */
  onMore(listener: () => void): () => void
}

export function createChangeFeed(replica: Pick<Replica, 'storeId' | 'feedEnd' | 'changes' | 'onChange'>): ChangeFeed {
  const id = replica.storeId.slice(0, FEED_DIGITS)
  const listeners = new Set<() => void>()
  const readByPlace = new Map<string, Promise<FeedPage>>()
  const lineByChange = new WeakMap<Change, Buffer>()
  replica.onChange(() => {
    for (const listener of listeners) listener()
  })

  const cursorAt = (sequence: number): string => `${id}.${sequence}`

  /** Consumers at the end of the feed wake together and ask for the same. */
  const readShared = (after: number, limit: number): Promise<FeedPage> => {
    const place = `${after}/${limit}`
    let reading = readByPlace.get(place)
    if (reading === undefined) {
      reading = replica.changes(after, limit).finally(() => readByPlace.delete(place))
      readByPlace.set(place, reading)
    }
    return reading
  }

  const lineOf = (change: Change): Buffer => {
    let line = lineByChange.get(change)
    if (line === undefined) {
      const writer = createJsonWriter()
      writer.change(cursorAt(change.sequence), change)
      line = writer.finish()
      lineByChange.set(change, line)
    }
    return line
  }

  return {
    end: () => replica.feedEnd(),
    cursorAt,
    startAt(cursor) {
      if (cursor === undefined) return { after: replica.feedEnd() }
      if (cursor === '0') return { after: 0 }
      const [, feed, digits] = CURSOR.exec(cursor) ?? []
      const after = Number(digits)
      if (feed === undefined || !Number.isSafeInteger(after)) {
        throw new AgentError('HS_INVALID_CURSOR', 'a cursor of changes is what the feed gave as one, or 0 for the beginning')
      }
      if (feed !== id) return { after: 0, reset: 'the cursor is of another store: this one was rebuilt' }
      if (after > replica.feedEnd()) return { after: 0, reset: 'the cursor is ahead of this store: an older copy of it was put back' }
      return { after }
    },
    createReader() {
      let limit = READ_CHANGES_MAX / 8
      return {
        async read(after) {
          const page = await readShared(after, limit)
          const bytes = page.changes.reduce((sum, change) => sum + contentBytes(change), 0)
          if (bytes > READ_BYTES_AIM) limit = Math.max(1, Math.floor((limit * READ_BYTES_AIM) / bytes))
          else limit = Math.min(READ_CHANGES_MAX, limit * 2)
          return page
        },
      }
    },
    lineOf,
    onMore(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

function contentBytes(change: Change): number {
  if (change.key === undefined || change.record === undefined) return 0
  return [change.record, ...(change.record.conflicts ?? [])].reduce(
    (sum, { payload, data, vector }) => sum + (payload?.length ?? 0) + (data?.length ?? 0) + (vector?.length ?? 0),
    0,
  )
}
