/** What must hold of the replicas of replica-model.ts at the end of a run. */
import { systemHash } from '../../agent/ports.ts'
import { toHex } from '../../base/bytes.ts'
import { loadCollections } from '../../sync/collection-state.ts'
import { decodeContent } from '../../sync/content.ts'
import { coversDot, type VersionVector } from '../../sync/dot.ts'
import type { Entry } from '../../sync/entry.ts'
import { compareVersions, isTombstone, supersedes, type Version } from '../../sync/version.ts'
import { auditStore, entriesOf, quarantineOf, type Quarantined } from './replica-audit.ts'
import type { Deletion } from './deletion-notes.ts'
import { byText, playSeed, POLICY, SALT, type Faults, type Robot, type Sim, type Wish } from './replica-model.ts'

/**
 * What is wrong at the end of a seed, and then what happened in it; nothing when all is well. `mayForkDots`: versions of forked histories may
 * share a dot.
 */
export async function runSeed(seed: number, faults: Faults, mayForkDots = faults.restores > 0): Promise<string[]> {
  const sim = await playSeed(seed, faults)
  const checkOwnStores = (): Promise<string[]> => checkStores(sim, mayForkDots)
  const checks = [checkEqual, checkOwnStores, checkViews, checkAcknowledged, checkResurrection]
  for (const check of checks) sim.problems.push(...(await check(sim)))
  // The trace of a failing seed is worth reading; of the others nobody wants it.
  return sim.problems.length === 0 ? [] : [...new Set(sim.problems), ...sim.trace]
}

// Each returns what is wrong, one sentence a fault.

/** All robots hold the same, and know the same. */
async function checkEqual({ robots }: Sim): Promise<string[]> {
  const [first, ...rest] = await Promise.all(robots.map(contentOf))
  return rest.flatMap((content, i) => (content === first ? [] : [`robot ${i + 1} differs from robot 0:\n  ${content}\n  ${first}`]))
}

async function contentOf(robot: Robot): Promise<string> {
  const collections = (await loadCollections(robot.store)).filter(({ dropped }) => !dropped)
  const parts = await Promise.all(
    collections.map(async ({ cid, name, generation, vector, collected }) => {
      const entries = [...(await entriesOf(robot.store, cid))].map(([key, entry]) => [
        key,
        entry.map(version => ({ ...version, body: toHex(version.body) })),
      ])
      const known = [...vector].map(([origin, { counter }]) => `${origin} ${counter}`).sort(byText)
      const gone = [...collected].map(([origin, counter]) => `${origin} ${counter}`).sort(byText)
      return JSON.stringify([name, generation, known, gone, entries])
    }),
  )
  return parts.sort(byText).join('\n')
}

/** Digests, logs, counts and feed are what the entries say. */
async function checkStores({ robots, faults }: Sim, mayForkDots: boolean): Promise<string[]> {
  const options = { mayStayAbove: faults.restores > 0, mayForkDots }
  const audits = await Promise.all(robots.map(({ store }) => auditStore(store, systemHash, SALT, options)))
  return audits.flatMap((found, i) => found.map(fault => `robot ${i}: ${fault}`))
}

/** What a robot tells is what a scan of it finds. */
async function checkViews({ robots }: Sim): Promise<string[]> {
  const problems: string[] = []
  for (const { index, replica } of robots) {
    for (const { name, recordCount } of replica.collections()) {
      const { records } = await replica.list(name, {}, 100_000)
      if (records.length !== recordCount) problems.push(`robot ${index}: ${name} says ${recordCount} records, lists ${records.length}`)
      const keys = records.map(({ key }) => key)
      const byBytes = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      if (keys.join() !== byBytes.join()) problems.push(`robot ${index}: ${name} is not listed in byte order`)
    }
  }
  return problems
}

/** Every acknowledged write is held, superseded or beaten; in a deleted generation: seen by a deleter, or in quarantine. */
async function checkAcknowledged(sim: Sim): Promise<string[]> {
  const { robots, wishes, deletions } = sim
  const store = robots[0]!.store
  const entryByPlace = new Map<string, Entry>()
  const collectedByName = new Map<string, VersionVector>()
  const liveGeneration = new Map<string, number>()
  for (const { cid, name, generation, collected } of await loadCollections(store)) {
    liveGeneration.set(name, generation)
    collectedByName.set(name, collected)
    for (const [key, entry] of await entriesOf(store, cid)) entryByPlace.set(`${name}/${key}`, entry)
  }
  const quarantined = (await Promise.all(robots.map(robot => quarantineOf(robot.store)))).flat()
  const problems: string[] = []
  for (const wish of wishes) {
    if (wish.dot === undefined || wish.isForgiven) continue
    const live = liveGeneration.get(wish.collection)
    if (live !== undefined && wish.generations.includes(live)) {
      const entry = entryByPlace.get(`${wish.collection}/${wish.key}`)
      if (isHeld(sim, wish, entry) || isCollectedWith(wish, wishes, collectedByName.get(wish.collection) ?? new Map(), entry)) continue
    }
    const mayBeDeleted = wish.generations.some(generation => generation !== live)
    if (mayBeDeleted && (wish.isDelete || isAccountedFor(wish, wishes, deletions.all, quarantined))) continue
    const { robot, life, collection, key, isDelete, id, generations } = wish
    problems.push(
      `lost: ${isDelete ? 'delete' : 'put'} ${id} of ${collection}@${generations.join('|')}/${key}, ${wish.dot.origin}:${wish.dot.counter}, by robot ${robot} in life ${life}`,
    )
  }
  return problems
}

function isHeld(sim: Sim, wish: Wish, entry: Entry | undefined): boolean {
  const { dot } = wish
  if (dot === undefined || entry === undefined) return false
  const asVersion: Version = {
    flags: 0,
    origin: dot.origin,
    counter: dot.counter,
    stamp: { ms: dot.timeMs, tick: dot.tick },
    context: [],
    body: new Uint8Array(0),
  }
  return entry.some(version => {
    if (version.origin === dot.origin && version.counter === dot.counter) {
      return wish.isDelete ? isTombstone(version) : isPutOf(version, wish.id)
    }
    const isBeaten = (POLICY[wish.collection] === 'lww' || sim.faults.mixedPolicies) && compareVersions(version, asVersion) > 0
    return isBeaten || supersedes(version, asVersion)
  })
}

/** A delete that was collected, or a put below one: nothing tells of it any more. */
function isCollectedWith(wish: Wish, wishes: readonly Wish[], collected: VersionVector, entry: Entry | undefined): boolean {
  const { dot, collection, key } = wish
  if (dot === undefined) return true
  if (wish.isDelete && coversDot(collected, dot)) return true
  return wishes.some(
    other =>
      other !== wish &&
      other.collection === collection &&
      other.key === key &&
      other.isDelete &&
      // A delete of which nobody was told may have come through all the same. Another delete it beats too, and then nothing is left.
      (other.dot === undefined ? !wish.isDelete || entry === undefined : coversDot(collected, other.dot) && isLater(other.dot, dot)),
  )
}

/** P5: nothing that a deleter had seen lives under the key that it deleted, whether the delete is still there or has been collected. */
async function checkResurrection({ robots, wishes, faults }: Sim): Promise<string[]> {
  // A restored copy may have used a dot twice, and the deleter have seen the other one.
  if (faults.restores > 0) return []
  const problems: string[] = []
  for (const { index, store } of robots) {
    for (const { cid, name, generation } of await loadCollections(store)) {
      const entries = await entriesOf(store, cid)
      for (const { isDelete, collection, generations, key, dot, seen } of wishes) {
        if (!isDelete || dot === undefined || collection !== name || generations.join() !== String(generation)) continue
        const back = (entries.get(key) ?? []).find(version => !isTombstone(version) && coversDot(seen, version))
        if (back === undefined) continue
        problems.push(
          `robot ${index}: ${name}/${key} ${back.origin}:${back.counter} came back behind its delete ${dot.origin}:${dot.counter}`,
        )
      }
    }
  }
  return problems
}

const isLater = (a: NonNullable<Wish['dot']>, b: NonNullable<Wish['dot']>): boolean =>
  a.timeMs > b.timeMs || (a.timeMs === b.timeMs && (a.tick > b.tick || (a.tick === b.tick && a.origin > b.origin)))

const isPutOf = (version: Version, id: number): boolean =>
  Buffer.from(decodeContent(version)?.payload ?? new Uint8Array(0)).toString() === String(id)

/** A put into a generation that is gone: a deleter had seen it, or it is in quarantine, or a later write of that key is or was a delete. */
function isAccountedFor(wish: Wish, wishes: readonly Wish[], deletions: readonly Deletion[], quarantined: readonly Quarantined[]): boolean {
  const { collection, generations, key, dot, id } = wish
  if (dot === undefined) return true
  // The last of `generations` may be too low: one that was made and deleted in one write group was never in any view.
  const isHere = (generation: number): boolean => generation >= generations[0]!
  if (deletions.some(({ name, generation, vector }) => name === collection && isHere(generation) && coversDot(vector, dot))) return true
  const later = quarantined.some(
    ({ name, generation, key: otherKey, version }) =>
      name === collection &&
      isHere(generation) &&
      otherKey === key &&
      (isPutOf(version, id) || version.stamp.ms > dot.timeMs || (version.stamp.ms === dot.timeMs && version.stamp.tick > dot.tick)),
  )
  if (later) return true
  return wishes.some(
    other =>
      other !== wish &&
      other.collection === collection &&
      other.key === key &&
      (other.dot === undefined
        ? other.isDelete && other.robot === wish.robot
        : (other.isDelete || deletions.some(({ name, vector }) => name === collection && coversDot(vector, other.dot!))) &&
          (other.dot.timeMs > dot.timeMs || (other.dot.timeMs === dot.timeMs && other.dot.tick > dot.tick))),
  )
}
