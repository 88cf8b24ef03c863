import * as fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { equalBytes } from '../../../base/bytes.ts'
import { systemHash } from '../../../agent/ports.ts'
import { createChannel } from '../../../sync/channel.ts'
import { apartFrom, createCommonGrounds, inFull, type CommonGround, type CommonGrounds } from '../../../sync/common-ground.ts'
import type { VectorEntry } from '../../../sync/collection-state.ts'
import { STAMP_ZERO } from '../../../sync/hlc.ts'
import type { Open } from '../../../sync/messages.ts'
import { compareOffers } from '../../../sync/offers.ts'
import type { OpenReplica } from '../../../sync/open-replica.ts'
import { FULL_TERMS } from '../../../sync/partial.ts'
import { createMemoryStore } from '../../memory-store.ts'
import { codec, createTestLink, digestOf, openTestReplica, put, remove, syncPair } from '../../replica-pair.ts'

const hex = (value: number, bytes: number): string => value.toString(16).padStart(2 * bytes, '0')
const origin = fc.integer({ min: 1, max: 6 }).map(value => hex(value, 16))
const counter = fc.integer({ min: 1, max: 3 })
const entry: fc.Arbitrary<VectorEntry> = fc.record({ counter, run: fc.integer({ min: 1, max: 2 }).map(value => hex(value, 8)) })
const mapOf = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Map<string, Value>> =>
  fc.array(fc.tuple(origin, value), { maxLength: 6 }).map(entries => new Map(entries))
const opened = fc
  .record({
    vector: mapOf(entry),
    collected: mapOf(counter),
    acknowledgements: fc.array(fc.record({ storeId: origin, rosterHash: fc.constant(new Uint8Array(8)), vector: mapOf(counter) }), {
      maxLength: 3,
    }),
  })
  .map((part): Open => ({
    kind: 'open',
    name: 'c',
    generation: 1,
    resume: undefined,
    collectedStampMax: STAMP_ZERO,
    rosterHash: new Uint8Array(8),
    terms: FULL_TERMS,
    voided: [],
    ...part,
  }))
const ground = { storeId: hex(9, 16), name: 'c', generation: 1 }

describe('what two replicas have in common', () => {
  it('is the same to both, whatever they opened', () => {
    fc.assert(
      fc.property(opened, opened, opened, opened, (a, b, nextA, nextB) => {
        const [ofA, ofB] = [createCommonGrounds(systemHash, 0), createCommonGrounds(systemHash, 0)]
        ofA.note(ground, a, b, undefined)
        ofB.note(ground, b, a, undefined)
        expect(ofA.of(ground)).toEqual(ofB.of(ground))
        ofA.note(ground, nextA, nextB, ofA.of(ground))
        ofB.note(ground, nextB, nextA, ofB.of(ground))
        expect(ofA.of(ground)).toEqual(ofB.of(ground))
        expect(ofA.untold([...a.acknowledgements, ...nextB.acknowledgements], ofA.of(ground))).toEqual([])
      }),
    )
  })

  it('and what is apart from it come to what was opened', () => {
    fc.assert(
      fc.property(opened, opened, opened, (a, b, next) => {
        const grounds = createCommonGrounds(systemHash, 0)
        grounds.note(ground, a, b, undefined)
        const common = grounds.of(ground)!
        const full = inFull(common, { ...next, ...apartFrom(common, next) })
        expect(full?.vector).toEqual(next.vector)
        expect(full?.collected).toEqual(next.collected)
      }),
    )
  })

  it('is not made of other ground', () => {
    fc.assert(
      fc.property(opened, opened, (a, b) => {
        const grounds = createCommonGrounds(systemHash, 0)
        grounds.note(ground, a, a, undefined)
        const ofA = grounds.of(ground)!
        grounds.note(ground, b, b, undefined)
        const ofB = grounds.of(ground)!
        const said = { ...b, ...apartFrom(ofB, b) }
        fc.pre(!equalBytes(ofA.hash, ofB.hash) && said.commonHash !== undefined)
        expect([inFull(ofA, said), inFull(undefined, said)]).toEqual([undefined, undefined])
      }),
    )
  })

  it('is bounded: what was used longest ago is said in full again', () => {
    const vector = new Map(Array.from({ length: 20 }, (_, i) => [hex(i, 16), { counter: 1, run: hex(1, 8) }]))
    const grounds = createCommonGrounds(systemHash, 16, 50)
    const said = { vector, collected: new Map(), acknowledgements: [] }
    for (const name of ['a', 'b', 'c']) grounds.note({ ...ground, name }, said, said, undefined)
    expect(['a', 'b', 'c'].map(name => grounds.of({ ...ground, name }) !== undefined)).toEqual([false, true, true])
    const few = { ...said, vector: new Map([...vector].slice(0, 15)) }
    grounds.note({ ...ground, name: 'c' }, few, few, undefined)
    expect(grounds.of({ ...ground, name: 'c' })).toBeUndefined()
  })
})

describe('sessions of replicas that have heard of many', () => {
  const ORIGINS = 40
  let a: OpenReplica
  let b: OpenReplica
  let grounds: CommonGrounds
  beforeEach(async () => {
    ;[a, b] = [await openTestReplica(createMemoryStore(), 1), await openTestReplica(createMemoryStore(), 2)]
    // Peers are told apart by their stores: one for both sides.
    grounds = createCommonGrounds(systemHash)
    for (let i = 0; i < ORIGINS; i++) {
      const other = await openTestReplica(createMemoryStore(), 10 + i)
      await other.write([put('c', `of-${i}`), put('c', `gone-${i}`), remove('c', `gone-${i}`)])
      await syncPair(other, a)
    }
    await syncPair(a, b, createTestLink(), { commonGrounds: grounds })
  })

  /** Bytes that a session takes. */
  async function bytesOf(commonGrounds: CommonGrounds | undefined): Promise<number> {
    let bytes = 0
    const link = createTestLink(undefined, message => {
      bytes += message.length
      return message
    })
    await syncPair(a, b, link, commonGrounds === undefined ? {} : { commonGrounds })
    return bytes
  }

  it('say again only what has changed, and all of it to who has forgotten', async () => {
    await a.write([put('c', 'one')])
    const first = await bytesOf(grounds)
    await b.write([put('c', 'two')])
    const second = await bytesOf(grounds)
    await a.write([put('c', 'three')])
    const inFullAgain = await bytesOf(undefined)
    expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    expect(inFullAgain).toBeGreaterThan(2 * ORIGINS * 28)
    expect(first).toBeLessThan(inFullAgain / 4)
    expect(second).toBeLessThan(inFullAgain / 4)
  })

  it('end equal wherever one is cut', async () => {
    const next = async (i: number): Promise<void> => {
      await a.write([put('c', `a${i}`), remove('c', `of-${i}`)])
      await b.write([put('c', `b${i}`)])
    }
    let cutAfter = 0
    for (let isComplete = false; !isComplete; cutAfter++) {
      await next(cutAfter)
      const [{ fault }] = await syncPair(a, b, createTestLink(cutAfter), { commonGrounds: grounds })
      isComplete = fault === undefined
      expect(fault?.kind).toBe(isComplete ? undefined : 'closed')
      const [result] = await syncPair(a, b, createTestLink(), { commonGrounds: grounds })
      expect(result).toMatchObject({ isComplete: true, diverged: [] })
      expect(digestOf(a, 'c')).toBe(digestOf(b, 'c'))
    }
    expect(cutAfter).toBeGreaterThan(10)
  })

  it('take for common only what both have offered: who has the collection no more may still remember', async () => {
    const without = await openTestReplica(createMemoryStore(), 3)
    const compared = async (one: OpenReplica, other: OpenReplica): Promise<(CommonGround | undefined)[]> => {
      const link = createTestLink()
      const sides = [one, other].map(async (replica, i) => {
        const snapshot = await replica.snapshot()
        const channel = createChannel(link.ends[i as 0 | 1], codec)
        const remembered = { storeId: b.storeId, name: 'c', generation: 1 }
        const { differing } = await compareOffers(channel, snapshot, replica, name => (name === 'c' ? grounds.of(remembered) : undefined))
        await snapshot.close()
        return differing.find(({ name }) => name === 'c')?.common
      })
      return Promise.all(sides)
    }
    await a.write([put('c', 'one')])
    expect(grounds.of({ storeId: b.storeId, name: 'c', generation: 1 })).toBeDefined()
    for (const common of await compared(a, b)) expect(common).toBeDefined()
    expect(await compared(a, without)).toEqual([undefined, undefined])
  })

  it('P16 end with a fault when a peer builds on ground that is not common', async () => {
    await a.write([put('c', 'one')])
    const before = digestOf(b, 'c')
    const tampered = (bytes: Uint8Array): Uint8Array => {
      const message = codec.decode(bytes)
      if (!Array.isArray(message) || message[0] !== 2 || message[13] === undefined) return bytes
      return codec.encode([...message.slice(0, 13), new Uint8Array(16)])
    }
    const [result] = await syncPair(a, b, createTestLink(undefined, tampered), { commonGrounds: grounds })
    expect(result.fault).toMatchObject({ kind: 'unexpected', detail: expect.stringContaining('not common') as string })
    expect(digestOf(b, 'c')).toBe(before)
  })
})
