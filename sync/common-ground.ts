/**
 * What two replicas have told one another of a collection in an earlier session, and need not say again: the vectors that both have opened it
 * with, joined, and the acknowledgements of others that have gone either way. Both sides derive the same from the same two `open`s, and offer
 * its hash; where the hashes are equal, the next `open` says only what differs from it. Worth it where many robots write one collection:
 * an entry takes 28 to 36 bytes, each way and each session.
 *
 * In memory only, and bounded: what is forgotten, or was not heard to the end, is said in full.
 */
import { concatBytes, EMPTY, equalBytes, fromHex, toHex, u64Bytes } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { encodeUtf8 } from '../base/utf8.ts'
import { encodeAcknowledgement, type Acknowledgement } from './acknowledgement.ts'
import type { VectorEntry } from './collection-state.ts'
import { joinVectors, type Origin, type VersionVector } from './dot.ts'
import type { Open } from './messages.ts'
import { vectorBytes } from './version.ts'

/** Fewer entries than this are said again: the hash in every offer would cost more. */
const ENTRIES_MIN = 16
/** Entries kept of all pairs and collections together. */
const ENTRIES_MAX = 65_536

export interface CommonGround {
  /** 16 bytes. */
  readonly hash: Uint8Array
  readonly vector: ReadonlyMap<Origin, VectorEntry>
  readonly collected: VersionVector
  /** Names of acknowledgements: hashes of what they say. */
  readonly acknowledged: ReadonlySet<string>
}

/** Which collection of which peer. */
export interface Ground {
  readonly storeId: string
  readonly name: string
  readonly generation: number
}

export interface CommonGrounds {
  of(ground: Ground): CommonGround | undefined
  /** Both `open`s in full, of an exchange that has come to its end, with what was common before it. */
  note(ground: Ground, mine: Opened, theirs: Opened, before: CommonGround | undefined): void
  /** Of acknowledgements, those that neither has told the other. */
  untold(known: readonly Acknowledgement[], common: CommonGround | undefined): readonly Acknowledgement[]
}

type Opened = Pick<Open, 'vector' | 'collected' | 'acknowledgements'>

const LABEL = encodeUtf8('hs common ground 1\0') ?? EMPTY
/** Names of acknowledgements in one: the old ones are forgotten, on both sides, when there are more. */
const ACKNOWLEDGED_MAX = 1_024
const HASH_BYTES = 16
const NAME_BYTES = 8

export function createCommonGrounds(hash: Hash, entriesMin = ENTRIES_MIN, entriesMax = ENTRIES_MAX): CommonGrounds {
  /** In the order in which they were noted. */
  const groundByPlace = new Map<string, CommonGround>()
  let entries = 0
  const placeOf = ({ storeId, name, generation }: Ground): string => `${storeId} ${generation} ${name}`
  const forget = (place: string): void => {
    const known = groundByPlace.get(place)
    if (known === undefined) return
    groundByPlace.delete(place)
    entries -= sizeOf(known)
  }
  const nameOf = (told: Acknowledgement): string =>
    toHex(hash.sha256(concatBytes(fromHex(told.storeId) ?? EMPTY, encodeAcknowledgement(told))).subarray(0, NAME_BYTES))

  return {
    of: ground => groundByPlace.get(placeOf(ground)),
    note(ground, mine, theirs, before) {
      const place = placeOf(ground)
      forget(place)
      const vector = joinEntries(mine.vector, theirs.vector)
      const collected = joinVectors(mine.collected, theirs.collected)
      const told = [...mine.acknowledgements, ...theirs.acknowledgements].map(nameOf)
      const isFull = (before?.acknowledged.size ?? 0) + told.length > ACKNOWLEDGED_MAX
      const acknowledged = new Set(isFull ? told : [...(before?.acknowledged ?? []), ...told])
      const common = { hash: EMPTY, vector, collected, acknowledged }
      if (sizeOf(common) < entriesMin || sizeOf(common) > entriesMax) return
      groundByPlace.set(place, { ...common, hash: hashOf(hash, common) })
      entries += sizeOf(common)
      for (const oldest of groundByPlace.keys()) {
        if (entries <= entriesMax) break
        forget(oldest)
      }
    },
    untold: (known, common) => (common === undefined ? known : known.filter(next => !common.acknowledged.has(nameOf(next)))),
  }
}

const sizeOf = ({ vector, collected, acknowledged }: CommonGround): number => vector.size + collected.size + acknowledged.size

/** Of two entries of one origin the later one; of two that wrote the same counter, which a forked history has, either, but the same on both sides. */
function joinEntries(a: ReadonlyMap<Origin, VectorEntry>, b: ReadonlyMap<Origin, VectorEntry>): Map<Origin, VectorEntry> {
  const joined = new Map(a)
  for (const [origin, entry] of b) {
    const known = joined.get(origin)
    const isLater = known === undefined || entry.counter > known.counter || (entry.counter === known.counter && entry.run > known.run)
    if (isLater) joined.set(origin, entry)
  }
  return joined
}

function hashOf(hash: Hash, { vector, collected, acknowledged }: CommonGround): Uint8Array {
  const ascending = [...vector].sort(([a], [b]) => (a < b ? -1 : 1))
  const parts = ascending.flatMap(([origin, { counter, run }]) => [fromHex(origin) ?? EMPTY, u64Bytes(counter), fromHex(run) ?? EMPTY])
  const names = [...acknowledged].sort().map(name => fromHex(name) ?? EMPTY)
  const sizes = [vector.size, collected.size, acknowledged.size].map(u64Bytes)
  return hash.sha256(concatBytes(LABEL, ...sizes, ...parts, vectorBytes(collected), ...names)).subarray(0, HASH_BYTES)
}

/** What of an `open` is not common; undefined where common ground has more than it: then it is said in full. */
export function apartFrom(common: CommonGround, { vector, collected }: Pick<Opened, 'vector' | 'collected'>) {
  if (![...common.vector.keys()].every(origin => vector.has(origin))) return undefined
  if (![...common.collected.keys()].every(origin => collected.has(origin))) return undefined
  const isApart = (origin: Origin, { counter, run }: VectorEntry): boolean => {
    const known = common.vector.get(origin)
    return known?.counter !== counter || known.run !== run
  }
  return {
    vector: new Map([...vector].filter(([origin, entry]) => isApart(origin, entry))),
    collected: new Map([...collected].filter(([origin, counter]) => common.collected.get(origin) !== counter)),
    commonHash: common.hash,
  }
}

/** An `open` in full, as its sender meant it; undefined when it builds on ground that is not common. */
export function inFull(common: CommonGround | undefined, open: Open): Open | undefined {
  if (open.commonHash === undefined) return open
  if (common === undefined || !equalBytes(common.hash, open.commonHash)) return undefined
  return {
    ...open,
    vector: new Map([...common.vector, ...open.vector]),
    collected: new Map([...common.collected, ...open.collected]),
  }
}
