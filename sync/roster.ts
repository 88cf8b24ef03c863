/**
 * The roster: the replicas whose acknowledgement a tombstone waits for (R7). It is part of the system collection, so it replicates like
 * any record and before all others:
 *
 *   replica/<store id>   {"node": node id, "evicted": true | absent, "rejoined": true | absent}
 *
 * A replica enrols itself before it exchanges anything. Only an operator evicts one - not its silence, however long. Eviction is for
 * good: of concurrent versions the one that evicts holds. A replica that finds itself evicted takes a new store id and enrols anew; what it
 * had meanwhile missed to see deleted it drops as everybody does who is behind a floor (R6).
 *
 * A node that lost its store and has got a new one evicts the former one by itself: nobody else can acknowledge for it any more. So it
 * takes stores for lost that were enrolled under its node id. Of two stores that live under one node id, as on copied cards, each may do so to
 * the other; that both do it for ever is ruled out by "rejoined", which who enrols after an eviction says of itself: such a one is left alone.
 */
import type { Hash } from '../base/ports.ts'
import { encodeUtf8 } from '../base/utf8.ts'
import type { Entry } from './entry.ts'
import { readJsonObjects } from './settings.ts'

/** Replicas in the roster, those evicted included. Where more have enrolled, nobody knows whom to wait for: no tombstone is collected. */
export const ROSTER_MAX = 4_096
export const ROSTER_HASH_BYTES = 8

export const replicaKey = (storeId: string): string => `replica/${storeId}`

export interface EnrolledReplica {
  readonly storeId: string
  readonly nodeId: string
  readonly isEvicted: boolean
  /** It was evicted under another store id before. */
  readonly isRejoined: boolean
}

export interface Roster {
  /** Takes a new entry of the system collection; passes over what is not about a replica. */
  apply(key: string, entry: Entry): void
  get(storeId: string): EnrolledReplica | undefined
  /** By store id, those evicted included. */
  all(): readonly EnrolledReplica[]
  /** The store ids that a tombstone waits for, ascending; none when there are too many. */
  enrolled(): readonly string[]
  /** 8 bytes, equal where the enrolled replicas are. */
  hash(): Uint8Array
}

export function createRoster(hash: Hash): Roster {
  const replicaByStoreId = new Map<string, EnrolledReplica>()
  let enrolled: readonly string[] | undefined
  let digest: Uint8Array | undefined
  let isOverfull = false

  const list = (): readonly string[] =>
    (enrolled ??= [...(isOverfull ? [] : replicaByStoreId.values())]
      .filter(({ isEvicted }) => !isEvicted)
      .map(({ storeId }) => storeId)
      .sort())

  return {
    apply(key, entry) {
      const match = /^replica\/([0-9a-f]{32})$/.exec(key)
      const storeId = match?.[1]
      if (storeId === undefined) return
      enrolled = undefined
      digest = undefined
      if (!replicaByStoreId.has(storeId) && replicaByStoreId.size >= ROSTER_MAX) {
        isOverfull = true
        return
      }
      const values = readJsonObjects(entry)
      const nodeId = values.map(value => value['node']).find(node => typeof node === 'string') ?? ''
      const says = (field: string): boolean => values.some(value => value[field] === true)
      if (values.length === 0) replicaByStoreId.delete(storeId)
      else replicaByStoreId.set(storeId, { storeId, nodeId, isEvicted: says('evicted'), isRejoined: says('rejoined') })
    },
    get: storeId => replicaByStoreId.get(storeId),
    all: () => [...replicaByStoreId.values()].sort((a, b) => (a.storeId < b.storeId ? -1 : 1)),
    enrolled: list,
    hash: () => (digest ??= hash.sha256(encodeUtf8(`hs roster 1\0${list().join()}`) ?? new Uint8Array(0)).slice(0, ROSTER_HASH_BYTES)),
  }
}
