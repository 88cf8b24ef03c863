/** What is owed at the end of a run, when all hold the same and one of them may not know it: its mark never came (R5). */
import { expect, it } from 'vitest'
import type { Version } from '../../sync/version.ts'
import { findLostWriteAtEnd, type Holder } from './checkers/acknowledged-writes.ts'
import { collectionId, type DurableCollection, type DurableState } from './durable-state.ts'
import { createHistory, type History } from './history.ts'
import { makeScenario, runScenario } from './scenario.ts'

const ORIGIN = 'a'.repeat(32)
const VERSION: Version = { flags: 4, origin: ORIGIN, counter: 1, stamp: { ms: 5, tick: 0 }, context: [], body: new Uint8Array(0) }
const TOMBSTONE: Version = { ...VERSION, flags: 1, counter: 2, stamp: { ms: 6, tick: 0 }, context: [{ origin: ORIGIN, counter: 1 }] }
const BOTH = new Map([[ORIGIN, 2]])

const collectionOf = (parts: Partial<DurableCollection>): DurableCollection => ({
  name: 'c',
  id: collectionId('c', 1),
  generation: 1,
  vector: new Map(),
  collected: new Map(),
  knowledge: '',
  entries: new Map(),
  root: '',
  recordCount: 0,
  countedRoot: '',
  countedRecords: 0,
  ...parts,
})

function holder(robot: number, parts: Partial<DurableCollection>): Holder {
  const collections = new Map([['c', collectionOf(parts)]])
  const state: DurableState = {
    storeId: undefined,
    enrolled: [],
    names: 1,
    collections,
    deletedGeneration: () => 0,
    rows: new Map(),
    dropped: 0,
  }
  return { robot, disk: 0, state }
}

/** A write was acknowledged and then deleted, and its tombstone collected or not. */
function createDeleted(isCollected: boolean): History {
  const history = createHistory(() => 'lww')
  for (const entry of [[VERSION], [TOMBSTONE]]) history.see(collectionOf({ entries: new Map([['k', entry]]) }))
  if (isCollected) history.see(collectionOf({ collected: BOTH }))
  const { origin, counter, stamp } = VERSION
  const write = { origin, counter, stamp }
  history.acknowledge({ robot: 0, disk: 0, collection: 'c', generation: 1, key: 'k', write, isDelete: false, isForgiven: false })
  return history
}

it('a write whose tombstone was collected is not owed by a robot whose mark never came', () => {
  const robots = [holder(0, { vector: BOTH, collected: BOTH }), holder(1, {})]
  expect(findLostWriteAtEnd(robots, createDeleted(true))).toBeUndefined()
})

it('caught: the tombstone is gone, and nobody collected it', () => {
  const robots = [holder(0, { vector: BOTH }), holder(1, {})]
  expect(findLostWriteAtEnd(robots, createDeleted(false))).toMatch(/is lost on robot 0$/)
})

it('caught: the tombstone was collected by somebody who is gone, and all others never knew of it', () => {
  const robots = [holder(0, { vector: new Map([[ORIGIN, 1]]) }), holder(1, {})]
  expect(findLostWriteAtEnd(robots, createDeleted(true))).toMatch(/is lost on robot 0$/)
})

it('caught: one robot holds the write, and another one nothing at all', () => {
  const robots = [holder(0, { vector: BOTH, entries: new Map([['k', [VERSION]]]) }), holder(1, {})]
  expect(findLostWriteAtEnd(robots, createDeleted(false))).toMatch(/is lost on robot 1$/)
})

it('in seed 1449 all agree a moment before the mark comes, and nothing is lost', async () => {
  expect((await runScenario(makeScenario(1449))).failure).toBeUndefined()
})
