/** An acknowledgement never comes before what it promises, and what was put off is on disk in time. */
import { pino } from 'pino'
import { afterEach, expect, it } from 'vitest'
import { createWriter, durabilityPlan, type DurabilityPlan, type Writer } from '../../../agent/durability.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { createMemoryStore, type MemoryStore } from '../../memory-store.ts'
import { contentOf, openTestReplica, put } from '../../replica-pair.ts'

const BATCH_MS = 20
const log = pino({ level: 'silent' })
let writer: Writer | undefined
afterEach(() => writer?.close())

async function start(text: string): Promise<{ store: MemoryStore; replica: OpenReplica; writer: Writer }> {
  const plan = durabilityPlan.parse(text, {}, '')
  if (!plan.ok) throw new Error(plan.rule)
  const store = createMemoryStore()
  const replica = await openTestReplica(store, 1)
  writer = createWriter(replica, plan.value, BATCH_MS, log)
  return { store, replica, writer }
}

/** What is found after a power cut at this moment. */
const afterPowerCut = async (store: MemoryStore, collection = 'c'): Promise<string[]> =>
  Object.keys(await contentOf(await openTestReplica(store.crash(), 2), collection))

const changed = (replica: OpenReplica): Promise<void> => new Promise(resolve => replica.onChange(() => resolve()))

it('P1 what was acknowledged as fsync is there after a power cut, also when the rest is async', async () => {
  const { store, writer: own } = await start('async')
  await own.write([put('c', 'later')])
  expect(await afterPowerCut(store)).toEqual([])
  await own.write([put('c', 'now')], 'fsync')
  // And with it what was written before.
  expect(await afterPowerCut(store)).toEqual(['later', 'now'])
})

it('P1 R3 batch is on disk soon after its acknowledgement, and nobody is told of it before that', async () => {
  const { store, replica, writer: own } = await start('fsync')
  const told = changed(replica)
  await own.write([put('c', 'a')], 'batch')
  expect(replica.collection('c')).toBeUndefined()
  expect(await afterPowerCut(store)).toEqual([])
  await told
  expect(replica.collection('c')?.recordCount).toBe(1)
  expect(await afterPowerCut(store)).toEqual(['a'])
})

it('goes by the collection, and by the strictest of a write that has several', async () => {
  const { store, writer: own } = await start('fsync, fast=async')
  await own.write([put('fast', 'a')])
  expect(await afterPowerCut(store, 'fast')).toEqual([])
  await own.write([put('fast', 'b'), put('c', 'c')])
  expect(await afterPowerCut(store, 'fast')).toEqual(['a', 'b'])
  await own.write([put('fast', 'c')], 'fsync')
  expect(await afterPowerCut(store, 'fast')).toEqual(['a', 'b', 'c'])
})

it('writes that share a group are each acknowledged when the strictest of them is durable', async () => {
  const { store, writer: own } = await start('async')
  await Promise.all([own.write([put('c', 'a')]), own.write([put('c', 'b')], 'fsync'), own.write([put('c', 'd')], 'batch')])
  expect(await afterPowerCut(store)).toEqual(['a', 'b', 'd'])
})

it('R3 a snapshot for a peer holds nothing that a power cut could take back', async () => {
  const { store, replica, writer: own } = await start('fsync')
  await own.write([put('c', 'a')], 'async')
  const snapshot = await replica.snapshot()
  expect(await afterPowerCut(store)).toEqual(['a'])
  await snapshot.close()
})

const plans: readonly [string, DurabilityPlan | undefined][] = [
  ['fsync', { usual: 'fsync', byCollection: {} }],
  ['imu=async, batch', { usual: 'batch', byCollection: { imu: 'async' } }],
  ['imu=async', { usual: 'fsync', byCollection: { imu: 'async' } }],
  ['never', undefined],
  ['fsync, batch', undefined],
  ['imu=async,imu=batch', undefined],
  ['_system=async', undefined],
  ['imu=async=batch', undefined],
  ['=async', undefined],
]
it.each(plans)('HS_DURABILITY=%s is read, or refused', (text, plan) => {
  const parsed = durabilityPlan.parse(text, {}, '')
  expect(parsed.ok ? parsed.value : undefined).toEqual(plan)
})
