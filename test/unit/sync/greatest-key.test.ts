import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { recordRow } from '../../../sync/rows.ts'
import type { Store } from '../../../sync/store.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { openTestReplica, put, remove } from '../../replica-pair.ts'

const cid = 2

/** A store that counts the reads of record rows of the test's collection. */
function countReads(store: Store): { readonly store: Store; readonly reads: () => number } {
  const prefix = recordRow(cid, new Uint8Array(0))
  let reads = 0
  return {
    store: {
      ...store,
      get(row) {
        if (prefix.every((byte, i) => row[i] === byte)) reads += 1
        return store.get(row)
      },
    },
    reads: () => reads,
  }
}

it('B2 keys that grow are written without a read a record, also behind a restart', async () => {
  const memory = createMemoryStore()
  const first = countReads(memory)
  const replica = await openTestReplica(first.store, 1)
  await replica.write(['k1', 'k2', 'k3'].map(key => put('log', key)))
  await replica.write([put('log', 'k4')])
  expect(first.reads()).toBe(0)
  await replica.write([put('log', 'k2')])
  expect(first.reads()).toBe(1)
  await replica.close()

  const second = countReads(memory)
  const reopened = await openTestReplica(second.store, 2)
  await reopened.write([put('log', 'k5')])
  expect(second.reads()).toBe(0)
})

it('B2 a write is told from an overwrite for every order of keys, in one group or several, with restarts and failed writes between', async () => {
  // Few keys, so that they meet; some of them are ordered differently by bytes and by characters.
  const key = fc.constantFrom('a', 'b', 'ba', 'b\u{10000}', 'b\uffee', 'z', '\u{1f916}', '\uffee')
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), keys: fc.array(key, { minLength: 1, maxLength: 4 }) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), keys: fc.array(key, { minLength: 1, maxLength: 2 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('reopen' as const, 'fail' as const) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async steps => {
      const store = createMemoryStore()
      let replica = await openTestReplica(store, 1)
      const held = new Set<string>()

      const write = async (keys: readonly string[], isDelete: boolean): Promise<void> => {
        const expected = keys.map(key => {
          const had = held.has(key)
          if (isDelete) held.delete(key)
          else held.add(key)
          return isDelete ? (had ? 'deleted' : 'unchanged') : had ? 'replaced' : 'created'
        })
        const outcomes = await replica.write(keys.map(key => (isDelete ? remove('log', key) : put('log', key))))
        expect(outcomes.map(outcome => (outcome.ok ? outcome.outcome : outcome.detail))).toEqual(expected)
      }
      for (const [i, step] of steps.entries()) {
        if (step.kind === 'write') await write(step.keys, false)
        else if (step.kind === 'delete') await write(step.keys, true)
        else if (step.kind === 'reopen') replica = await openTestReplica(store, i + 2)
        else {
          store.failWrites(1)
          await replica.write([put('log', '\u{10ffff}')])
        }
        expect(replica.collection('log')?.recordCount ?? 0).toBe(held.size)
      }
    }),
  )
})
