import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { createByteArena } from '../../../base/byte-arena.ts'
import { createChangeList } from '../../../sync/change-list.ts'
import type { StoreChange } from '../../../sync/store.ts'

const bytes = fc.uint8Array({ maxLength: 40 })
const change: fc.Arbitrary<StoreChange> = fc.oneof(
  fc.record({ type: fc.constant('put' as const), key: bytes, value: bytes }),
  fc.record({ type: fc.constant('del' as const), key: bytes }),
)

it('a change list gives back its changes in order, as often as asked, wherever their bytes lie', () => {
  fc.assert(
    fc.property(fc.array(change), changes => {
      const allocate = createByteArena(64)
      const place = (from: Uint8Array): Uint8Array => {
        const to = allocate(from.length)
        to.set(from)
        return to
      }
      const list = createChangeList()
      for (const { key, ...rest } of changes) {
        if (rest.type === 'put') list.put(place(key), place(rest.value))
        else list.del(place(key))
      }
      expect([...list]).toEqual(changes)
      expect([...list]).toEqual(changes)
      const lengths = changes.map(made => made.key.length + (made.type === 'put' ? made.value.length : 0))
      expect(list.bytes).toBe(lengths.reduce((sum, length) => sum + length, 0))
    }),
  )
})
