/**
 * A process that writes into a data directory until it is ended from outside, and tells on standard output what it does:
 *
 *   ready             it is open
 *   > key value       it is about to write this; `-` is a delete
 *   = key             that has been acknowledged
 *
 * Arguments: the directory, a seed, and `fsync` or `async` (acknowledged before anything is synced: a control).
 */
import { writeSync } from 'node:fs'
import { createMemoryStore } from './memory-store.ts'
import { openOwnReplica } from '../agent/offline-replica.ts'
import { openTestReplica, put, remove, syncPair } from './replica-pair.ts'
import { createSeededRandom } from './seeded-random.ts'

const WRITERS = 4
const KEYS_PER_WRITER = 10
const BULK = 12
const [folder = '', seed = '1', durability = 'fsync'] = process.argv.slice(2)
const random = createSeededRandom(Number(seed))
const isSynced = durability === 'fsync'

const tell = (line: string): void => void writeSync(1, `${line}\n`)
let values = 0

const own = await openOwnReplica(folder, { durability: isSynced ? 'fsync' : 'deferred' })
const { replica } = own
tell('ready')

async function writeOn(writer: number): Promise<never> {
  for (;;) {
    const dice = random.fraction()
    const count = dice < 0.1 ? BULK : 1
    const isDelete = dice > 0.8
    const first = Math.floor(random.fraction() * KEYS_PER_WRITER)
    const keys = Array.from({ length: count }, (_, i) => `writer${writer}/${first + i}`)
    const value = `${seed}.${(values += 1)}${'x'.repeat(random.fraction() * 300)}`
    for (const key of keys) tell(`> ${key} ${isDelete ? '-' : value}`)
    const done = await replica.write(keys.map(key => (isDelete ? remove('c', key) : put('c', key, value))))
    if (done.some(({ ok }) => !ok)) throw new Error('a write was refused')
    for (const key of keys) tell(`= ${key}`)
  }
}

/** Frames of a peer, and marks: what has arrived when a session ends is acknowledged, too. */
async function syncOn(): Promise<never> {
  for (;;) {
    const peer = await openTestReplica(createMemoryStore(), Math.floor(random.fraction() * 2 ** 32), undefined, 'peer')
    const keys = Array.from({ length: 20 }, () => `peer/${Math.floor(random.fraction() * 1e9)}`)
    const value = `${seed}.${(values += 1)}`
    for (const key of keys) tell(`> ${key} ${value}`)
    await peer.write(keys.map(key => put('c', key, value)))
    const [result] = await syncPair(replica, peer)
    if (result.isComplete) for (const key of keys) tell(`= ${key}`)
    await peer.close()
  }
}

await Promise.all([...Array.from({ length: WRITERS }, (_, writer) => writeOn(writer)), syncOn()])
