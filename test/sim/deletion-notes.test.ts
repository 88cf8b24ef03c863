/** The model of replicas knows what every deletion had seen, also of one that the next deletion hides at once. */
import { expect, it } from 'vitest'
import { createMemoryStore } from '../memory-store.ts'
import { openTestReplica, put } from '../replica-pair.ts'
import { createSeededRandom } from '../seeded-random.ts'
import { createDeletionNotes } from './deletion-notes.ts'
import { createSlowStore } from './sim-store.ts'

it('a deletion is noted in the moment of its write, though the next one has taken its place when somebody comes to read it', async () => {
  const notes = createDeletionNotes('tmp')
  const replica = await openTestReplica(createSlowStore(createMemoryStore(), createSeededRandom(1), notes.look), 1)
  await replica.write([put('tmp', 'k', 1), put('tmp', 'other', 1)])
  const first = replica.deleteCollection('tmp')
  // The first deletion's group is under way, so the rest goes into the next one.
  await Promise.resolve()
  await Promise.resolve()
  await Promise.all([first, replica.write([put('tmp', 'k', 2)]), replica.deleteCollection('tmp')])
  expect(notes.all.map(({ generation, vector }) => [generation, ...vector.values()])).toEqual([
    [1, 2],
    [2, 1],
  ])
})
