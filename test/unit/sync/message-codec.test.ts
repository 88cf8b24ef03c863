import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { toHex } from '../../../base/bytes.ts'
import { decodeMessage, encodeMessage } from '../../../sync/message-codec.ts'
import type { Message } from '../../../sync/messages.ts'
import { codec } from '../../replica-pair.ts'

const MAX = Number.MAX_SAFE_INTEGER
const count = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 2 ** 31, max: 2 ** 33 }),
  fc.integer({ min: 1, max: MAX }),
  fc.constant(MAX),
)
const octets = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const id = octets(16).map(toHex)
const vector = fc
  .array(fc.tuple(id, fc.record({ counter: count, run: octets(8).map(toHex) })), { maxLength: 5 })
  .map(entries => new Map(entries))
const counters = fc.array(fc.tuple(id, count), { maxLength: 5 }).map(entries => new Map(entries))
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant('repair' as const), vector, collected: counters }),
  fc.record({ kind: fc.constant('pull' as const), name: fc.constant('imu'), generation: count }),
  fc.record({
    kind: fc.constant('want' as const),
    items: fc.array(fc.record({ key: fc.string({ minLength: 1 }), dot: fc.record({ origin: id, counter: count }) })),
  }),
  fc.record({ kind: fc.constant('mark' as const), vector, isAsOpened: fc.boolean() }),
)

it('messages come back as they were, counters to the last bit (P12)', () => {
  fc.assert(
    fc.property(message, sent => {
      expect(decodeMessage(codec, encodeMessage(codec, sent))).toEqual(sent)
    }),
  )
})

it.each([0, -1, 1.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, '1', null, new Uint8Array(8)])(
  'a counter that is %s is none',
  value => {
    expect(decodeMessage(codec, codec.encode([5, [[new Uint8Array(16), 1, new Uint8Array(8)]]]))).toMatchObject({ kind: 'mark' })
    expect(decodeMessage(codec, codec.encode([5, [[new Uint8Array(16), value, new Uint8Array(8)]]]))).toBeUndefined()
  },
)
