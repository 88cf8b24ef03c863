import { expect, it } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { createCollectionState } from '../../../sync/collection-state.ts'
import { createItemHasher } from '../../../sync/digest.ts'
import { createPurger } from '../../../sync/purge.ts'
import { loadReplicaState, type ReplicaState } from '../../../sync/replica-state.ts'
import { recordRow } from '../../../sync/rows.ts'
import { createWriteBatch, type WriteBatch } from '../../../sync/write-batch.ts'
import { changeRows, createMemoryStore } from '../../memory-store.ts'
import { createSeededRandom } from '../../seeded-random.ts'

async function fixture() {
  const store = createMemoryStore()
  const random = createSeededRandom(1)
  const load = (): Promise<ReplicaState> => loadReplicaState(store, systemHash, random, '00'.repeat(8), 60_000)
  const hasher = createItemHasher(systemHash, new Uint8Array(16))
  const openBatch = (): WriteBatch => createWriteBatch({ store, hasher, inFlight: () => undefined, nextSequence: () => 1 })
  const row = recordRow(7, Uint8Array.of(97))
  await changeRows(store, [[row, Uint8Array.of(0)]])
  const dropped = createCollectionState(7, 'tmp', 1)
  dropped.dropped = true
  return { store, load, openBatch, row, dropped }
}

it('a purge whose deletion a failed write took back removes nothing: its number may belong to a living collection', async () => {
  const { store, load, openBatch, row, dropped } = await fixture()
  let state = await load()
  state.dropped.add(dropped)
  let submitted = 0
  const purger = createPurger({
    store,
    state: () => state,
    isStopping: () => false,
    async submit(job) {
      submitted += 1
      // The job waits behind a group that fails: when its turn comes the state has been loaded again.
      state = await load()
      const batch = openBatch()
      const answer = job(batch)
      await batch.write({ sync: false })
      return answer
    },
    onPurged: () => expect.unreachable(),
  })
  purger.start()
  await purger.idle()
  expect(submitted).toBe(1)
  expect(store.get(row)).toBeDefined()
})

it('a purge that meets a state loaded again begins anew with what is dropped there', async () => {
  const { store, load, openBatch, row, dropped } = await fixture()
  let state = await load()
  state.dropped.add(dropped)
  const later = await load()
  later.dropped.add(dropped)
  const purged: string[] = []
  const purger = createPurger({
    store,
    state: () => state,
    isStopping: () => false,
    async submit(job) {
      state = later
      const batch = openBatch()
      const answer = job(batch)
      await batch.write({ sync: false })
      return answer
    },
    onPurged: ({ name }) => void purged.push(name),
  })
  purger.start()
  await purger.idle()
  expect(purged).toEqual(['tmp'])
  expect(later.dropped.size).toBe(0)
  expect(store.get(row)).toBeUndefined()
})
