/**
 * What has happened in a run, as somebody would know it who sees every disk: all versions that were ever durable anywhere, what users
 * were told is safe, what was collected, what was damaged on purpose. The checkers hold the robots against it.
 */
import { equalBytes } from '../../base/bytes.ts'
import { coversDot, joinVectors, type VersionVector } from '../../sync/dot.ts'
import { encodeVersion, isTombstone, type Version } from '../../sync/version.ts'
import type { DurableCollection } from './durable-state.ts'
import { accountsFor, dotName, isSameDot, type MergeRule, type Write } from './merge-rule.ts'

/** A write that a user was told is safe. */
export interface AcknowledgedWrite {
  readonly robot: number
  /** How many disks its robot had lost by then. */
  readonly disk: number
  readonly collection: string
  readonly generation: number
  readonly key: string
  readonly write: Write
  readonly isDelete: boolean
  /** Its disk was lost before anybody's vector covered it. */
  isForgiven: boolean
}

export interface KeyHistory {
  /** Every version that was ever durable somewhere. */
  readonly versions: readonly Version[]
  readonly tombstones: readonly Version[]
}

export interface History {
  readonly acknowledged: readonly AcknowledgedWrite[]
  ruleOf(collection: string): MergeRule
  key(collection: string, key: string): KeyHistory
  /** The tombstones of a key that somebody has collected (R7): some disk's G covers them, or did. */
  collected(collection: string, key: string): readonly Version[]
  /** How many tombstones have been collected, of all collections. */
  collectedCount(): number
  /** Up to where anybody has collected tombstones of a collection. */
  collectedVector(collection: string): VersionVector
  /** Keys with tombstones of a collection. */
  deletedKeys(collection: string): Iterable<string>
  acknowledge(write: AcknowledgedWrite): void
  /** A robot gave a version up, and nobody full had it (R8). */
  giveUp(robot: number, collection: string, key: string, version: Version, isVoid: boolean): void
  /** What a robot gave up of a key; of all robots, what was void. */
  givenUp(robot: number | 'void', collection: string, key: string): readonly Version[]
  /** Takes what a robot has become; says when one dot names two versions, which no correct replica makes (R3). */
  see(state: DurableCollection): string | undefined
  /** Versions of a key are about to vanish from a robot behind its store's back. */
  damage(robot: number, collection: string, key: string, versions: readonly Version[]): void
  isDamaged(robot: number, collection: string, key: string, version: Version): boolean
  /** A robot's key is damaged until the robot holds what accounts for every version that vanished. */
  hasDamage(robot: number, collection: string, key: string): boolean
  /** Takes the robot's present entries: damage that was done, or mended since, is noted. */
  judgeDamage(robot: number, state: DurableCollection): void
  /** Damage that was not done when the power went is not done any more. */
  forgetPendingDamage(robot: number): void
}

interface Damage {
  readonly versions: readonly Version[]
  isDone: boolean
}

interface MutableKeyHistory {
  readonly versions: Version[]
  readonly tombstones: Version[]
  readonly byDot: Map<string, Version>
}

const NOTHING: KeyHistory = { versions: [], tombstones: [] }
const NOTHING_COLLECTED: VersionVector = new Map()

export function createHistory(ruleOf: (collection: string) => MergeRule): History {
  const acknowledged: AcknowledgedWrite[] = []
  const historyByKey = new Map<string, Map<string, MutableKeyHistory>>()
  const collectedByCollection = new Map<string, VersionVector>()
  const deletedByCollection = new Map<string, Set<string>>()
  /** By robot, collection and key. */
  const damageByPlace = new Map<string, Damage>()
  const seenEntries = new WeakSet<object>()
  const givenUpByPlace = new Map<string, Version[]>()

  const placeOf = (robot: number, collection: string, key: string): string => `${robot} ${collection}/${key}`
  const historyOf = (collection: string, key: string): MutableKeyHistory => {
    let keys = historyByKey.get(collection)
    if (keys === undefined) historyByKey.set(collection, (keys = new Map()))
    let history = keys.get(key)
    if (history === undefined) keys.set(key, (history = { versions: [], tombstones: [], byDot: new Map() }))
    return history
  }

  return {
    acknowledged,
    ruleOf,
    key: (collection, key) => historyByKey.get(collection)?.get(key) ?? NOTHING,
    collected(collection, key) {
      const collected = collectedByCollection.get(collection) ?? NOTHING_COLLECTED
      return (
        historyByKey
          .get(collection)
          ?.get(key)
          ?.tombstones.filter(tombstone => coversDot(collected, tombstone)) ?? []
      )
    },
    collectedCount() {
      let count = 0
      for (const [collection, keys] of deletedByCollection) for (const key of keys) count += this.collected(collection, key).length
      return count
    },
    collectedVector: collection => collectedByCollection.get(collection) ?? NOTHING_COLLECTED,
    deletedKeys: collection => deletedByCollection.get(collection) ?? [],
    acknowledge: write => void acknowledged.push(write),
    giveUp(robot, collection, key, version, isVoid) {
      for (const who of isVoid ? [robot, 'void' as const] : [robot]) {
        const place = `${who} ${collection}/${key}`
        const versions = givenUpByPlace.get(place)
        if (versions === undefined) givenUpByPlace.set(place, [version])
        else versions.push(version)
      }
    },
    givenUp: (robot, collection, key) => givenUpByPlace.get(`${robot} ${collection}/${key}`) ?? [],
    see({ id, entries, collected }) {
      collectedByCollection.set(id, joinVectors(collectedByCollection.get(id) ?? NOTHING_COLLECTED, collected))
      for (const [key, entry] of entries) {
        if (seenEntries.has(entry)) continue
        seenEntries.add(entry)
        const history = historyOf(id, key)
        for (const version of entry) {
          const dot = `${version.origin}:${version.counter}`
          const known = history.byDot.get(dot)
          if (known !== undefined) {
            if (equalBytes(encodeVersion(known), encodeVersion(version))) continue
            return `${id}/${key}: ${dotName(version)} names two versions`
          }
          history.byDot.set(dot, version)
          history.versions.push(version)
          if (!isTombstone(version)) continue
          history.tombstones.push(version)
          let deleted = deletedByCollection.get(id)
          if (deleted === undefined) deletedByCollection.set(id, (deleted = new Set()))
          deleted.add(key)
        }
      }
      return undefined
    },
    damage(robot, collection, key, versions) {
      damageByPlace.set(placeOf(robot, collection, key), { versions, isDone: false })
    },
    isDamaged: (robot, collection, key, version) =>
      damageByPlace.get(placeOf(robot, collection, key))?.versions.some(lost => isSameDot(lost, version)) === true,
    hasDamage: (robot, collection, key) => damageByPlace.get(placeOf(robot, collection, key))?.isDone === true,
    judgeDamage(robot, { id, entries }) {
      for (const [place, damage] of damageByPlace) {
        if (!place.startsWith(`${robot} ${id}/`)) continue
        const entry = entries.get(place.slice(`${robot} ${id}/`.length)) ?? []
        const isAccounted = damage.versions.every(lost => entry.some(held => accountsFor(held, lost, ruleOf(id))))
        if (!isAccounted) damage.isDone = true
        else if (damage.isDone) damageByPlace.delete(place)
      }
    },
    forgetPendingDamage(robot) {
      for (const [place, { isDone }] of damageByPlace) if (!isDone && place.startsWith(`${robot} `)) damageByPlace.delete(place)
    },
  }
}
