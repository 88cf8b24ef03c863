/** Checkpoints and proofs: what they show, and that no part of one can be changed (docs/protocol.md, V1-V5). */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemHash } from '../../../agent/ports.ts'
import { changeRows } from '../../memory-store.ts'
import { leafHash, proofStatement } from '../../../agent/proof/layout.ts'
import { PROOF_LIMITS, type ProofJson } from '../../../agent/proof/shapes.ts'
import { PROOF_FAULTS, verifyProofFile, type Proven, type ProofFault } from '../../../agent/proof/verify.ts'
import { fromHex, toHex } from '../../../base/bytes.ts'
import { encodeUtf8 } from '../../../base/utf8.ts'
import { addItem, createDigestSum, createItemHasher, encodeSum, nodeIndex, removeItem } from '../../../sync/digest.ts'
import { bucketRow } from '../../../sync/rows.ts'
import { json, put, remove, syncPair } from '../../replica-pair.ts'
import { NODE_ID, openProofFixture, proveRecord, SALT, signingKeyOf, verifyDocument, type ProofFixture } from './proof-fixture.ts'

const partOf = (result: Proven | ProofFault): string => (result.ok ? 'none' : result.part)
const recordOf = (result: Proven | ProofFault): NonNullable<Proven['record']> => {
  if (!result.ok || result.record === undefined) throw new Error(`not proven: ${JSON.stringify(result)}`)
  return result.record
}
const payloadOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()

/** 600 records: every bucket has two or three items. */
async function filled(): Promise<ProofFixture> {
  const fixture = await openProofFixture()
  await fixture.write(...Array.from({ length: 600 }, (_, i) => put('imu', `k${i}`, { i })))
  return fixture
}

const keys = fc.oneof(
  fc.constantFrom('a', 'robot1/000001', 'ünï ✓/%2F', '𝔽🤖', '\uFFFD', '"\\'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
)
const contents = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }).map(value => ({ payload: json(value) })),
  fc.record({ payload: fc.constant(json(1)), vector: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 3, maxLength: 3 }) }),
  fc.record({ data: fc.uint8Array({ maxLength: 40 }), contentType: fc.constant('image/jpeg') }),
  fc.constant({}),
)

describe('a proof', () => {
  it('shows which node held which record at which time, to whoever has the file alone', async () => {
    const fixture = await filled()
    const proof = await proveRecord(fixture, 'imu', 'k42')
    const { root, knowledge, digest } = proof.checkpoint
    expect(proof.checkpoint).toEqual({
      node_id: NODE_ID,
      collection: 'imu',
      generation: 1,
      root: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
      digest: toHex(fixture.replica.collection('imu')!.digest),
      item_count: 600,
      record_count: 600,
      knowledge: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown,
      logical_clock: fixture.replica.logicalClock(),
      time: 1.7e12,
      trusted_time: true,
      digest_salt: toHex(SALT),
    })
    const proven = verifyDocument(proof, fixture.prover.publicKey)
    expect(proven).toMatchObject({ ok: true, publicKey: fixture.prover.publicKey, checkpoint: { root, knowledge, digest } })
    const { key, versions } = recordOf(proven)
    expect(key).toBe('k42')
    expect(versions.map(({ content }) => payloadOf(content.payload))).toEqual(['{"i":42}'])
    expect(versions[0]?.version).toMatchObject({ origin: fixture.replica.get('imu', 'k42')?.version.origin, counter: 43 })
  })

  it('is made of any record, whatever its key and content', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.record({ key: keys, content: contents }), { minLength: 1, maxLength: 8, selector: r => r.key }),
        async records => {
          const fixture = await openProofFixture()
          const written = await fixture.replica.write(records.map(({ key, content }) => ({ collection: 'c', key, content })))
          for (const done of written) {
            if (!done.ok) continue
            const { key, versions } = recordOf(verifyDocument(await proveRecord(fixture, 'c', done.key), fixture.prover.publicKey))
            const { payload, data, contentType, vector } = fixture.replica.get('c', done.key)!
            expect(key).toBe(done.key)
            const { content } = versions[0]!
            expect([payloadOf(content.payload), payloadOf(content.data), content.contentType]).toEqual([
              payloadOf(payload),
              payloadOf(data),
              contentType,
            ])
            expect(toHex(content.vector ?? new Uint8Array())).toBe(toHex(vector ?? new Uint8Array()))
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  it('of the only record of a collection has a path past empty buckets', async () => {
    const fixture = await openProofFixture()
    await fixture.write(put('c', 'only'))
    const proof = await proveRecord(fixture, 'c', 'only')
    expect(proof.path).toHaveLength(8)
    expect(recordOf(verifyDocument(proof)).key).toBe('only')
  })

  it('holds all concurrent versions of a record, the one that a GET shows first', async () => {
    const [a, b] = [await openProofFixture(1), await openProofFixture(2)]
    for (const { replica } of [a, b]) await replica.createCollection('c', { conflict: 'siblings' })
    await a.write(put('c', 'k', 'from a'), put('c', 'k2', 1))
    await b.write(put('c', 'k', 'from b'))
    await syncPair(a.replica, b.replica)
    const { payload, conflicts = [] } = a.replica.get('c', 'k')!
    expect(conflicts).toHaveLength(1)
    for (const fixture of [a, b]) {
      const { versions } = recordOf(verifyDocument(await proveRecord(fixture, 'c', 'k'), fixture.prover.publicKey))
      expect(versions.map(({ content }) => payloadOf(content.payload))).toEqual([payload, conflicts[0]?.payload].map(payloadOf))
    }
  })

  it('cannot lose a concurrent version, or have them change places', async () => {
    const [a, b] = [await openProofFixture(1), await openProofFixture(2)]
    for (const { replica } of [a, b]) await replica.createCollection('c', { conflict: 'siblings' })
    await a.write(put('c', 'k', 'from a'))
    await b.write(put('c', 'k', 'from b'))
    await syncPair(a.replica, b.replica)
    const proof = await proveRecord(a, 'c', 'k')
    expect(partOf(verifyDocument({ ...proof, versions: proof.versions.slice(0, 1) }))).toBe('signature')
    expect(partOf(verifyDocument({ ...proof, versions: proof.versions.toReversed() }))).toBe('item')
    expect(partOf(verifyDocument({ ...proof, versions: [proof.versions[0], proof.versions[0]] }))).toBe('item')
  })

  it('is not made of a key that is not there, was deleted, or lies in no collection', async () => {
    const fixture = await openProofFixture()
    await fixture.write(put('c', 'k'), remove('c', 'k'))
    for (const [collection, key] of [
      ['c', 'k'],
      ['c', 'never'],
      ['none', 'k'],
      ['c', '\uD800'],
    ] as const)
      expect(await fixture.prover.prove(collection, key)).toBeUndefined()
    expect(await fixture.prover.checkpoint('none')).toBeUndefined()
    await fixture.write(put('c', 'k', 'again'))
    expect(recordOf(verifyDocument(await proveRecord(fixture, 'c', 'k'))).versions).toHaveLength(1)
  })

  it('is of one moment, whatever is written meanwhile', async () => {
    const fixture = await filled()
    const writing = (async () => {
      for (let i = 0; i < 60; i++) await fixture.write(put('imu', `k${i % 7}`, i), put('imu', `new${i}`, i))
    })()
    const counts = new Set<number>()
    for (let i = 0; i < 60; i++) {
      const proven = verifyDocument(await proveRecord(fixture, 'imu', `k${i % 7}`), fixture.prover.publicKey)
      expect(partOf(proven)).toBe('none')
      if (proven.ok) counts.add(proven.checkpoint.record_count)
    }
    await writing
    expect(counts.size).toBeGreaterThan(1)
  })

  it('is not made of rows that do not agree', async () => {
    const fixture = await filled()
    const bucket = nodeIndex(createItemHasher(systemHash, SALT).keyHash(encodeUtf8('k1')!), 2)
    const sum = createDigestSum()
    addItem(sum, new Uint8Array(16))
    await changeRows(fixture.store, [[bucketRow(2, 2, bucket), encodeSum(sum)]])
    await expect(fixture.prover.prove('imu', 'k1')).rejects.toThrow(/more items than it counts|do not agree/)
  })
})

describe('replicas with the same content', () => {
  it('sign the same root, each with a key of its own', async () => {
    const [a, b] = [await openProofFixture(1), await openProofFixture(2)]
    await a.write(...Array.from({ length: 50 }, (_, i) => put('c', `a${i}`)))
    await b.write(...Array.from({ length: 50 }, (_, i) => put('c', `b${i}`)))
    await syncPair(a.replica, b.replica)
    const [one, other] = [await a.prover.checkpoint('c'), await b.prover.checkpoint('c')]
    for (const field of ['root', 'digest', 'knowledge', 'record_count'] as const)
      expect(one?.checkpoint[field]).toBe(other?.checkpoint[field])
    expect(one?.public_key).not.toBe(other?.public_key)
    expect(partOf(verifyDocument(one, b.prover.publicKey))).toBe('key')
    expect(partOf(verifyDocument(one, a.prover.publicKey))).toBe('none')
  })
})

describe('a checkpoint', () => {
  it('of an empty collection is signed like any other, and every byte of it counts', async () => {
    const fixture = await openProofFixture()
    await fixture.replica.createCollection('c', {})
    const checkpoint = await fixture.prover.checkpoint('c')
    expect(verifyDocument(checkpoint)).toMatchObject({ ok: true, checkpoint: { record_count: 0, item_count: 0 } })
    const file = Buffer.from(JSON.stringify(checkpoint))
    for (let at = 0; at < file.length; at++) expect([at, partOf(verifyProofFile(flip(file, at, 1)))]).not.toEqual([at, 'none'])
  })

  it('does not pass for a proof, nor a proof for a checkpoint', async () => {
    const fixture = await filled()
    const proof = await proveRecord(fixture, 'imu', 'k1')
    const { checkpoint, public_key, signature } = proof
    expect(partOf(verifyDocument({ format: 'hs-checkpoint 1', checkpoint, public_key, signature }))).toBe('signature')
    expect(partOf(verifyDocument({ ...(await fixture.prover.checkpoint('imu')), format: 'hs-proof 1' }))).toBe('form')
  })
})

/** The file with other bits at one place. */
function flip(file: Uint8Array, at: number, bits: number): Uint8Array {
  const copy = Uint8Array.from(file)
  copy[at]! ^= bits
  return copy
}

describe('V1-V5 tampering', () => {
  it('with any single byte is found, at every place of the file', async () => {
    const file = Buffer.from(JSON.stringify(await proveRecord(await filled(), 'imu', 'k42')))
    for (let at = 0; at < file.length; at++) {
      for (const bits of [1, 0x20]) expect([at, partOf(verifyProofFile(flip(file, at, bits)))]).not.toEqual([at, 'none'])
    }
  })

  it('with random bytes - changed, removed, repeated - is found', async () => {
    const fixture = await openProofFixture()
    await fixture.write(put('c', '\uFFFDé🤖', { text: 'é' }), put('c', 'other'))
    const file = Buffer.from(JSON.stringify(await proveRecord(fixture, 'c', '\uFFFDé🤖')))
    const place = fc.nat({ max: file.length - 1 })
    const change = fc.oneof(
      fc.tuple(place, fc.integer({ min: 1, max: 255 })).map(([at, bits]) => flip(file, at, bits)),
      fc
        .tuple(place, fc.integer({ min: 1, max: 9 }))
        .map(([at, length]) => Buffer.concat([file.subarray(0, at), file.subarray(at + length)])),
      fc.tuple(place, place).map(([from, to]) => Buffer.concat([file.subarray(0, to), file.subarray(from)])),
    )
    fc.assert(
      fc.property(
        change.filter(changed => !file.equals(changed)),
        changed => partOf(verifyProofFile(changed)) !== 'none',
      ),
      { numRuns: 3000 },
    )
  })

  type Change = (proof: ProofJson) => unknown
  const field =
    (name: keyof ProofJson['checkpoint'], value: unknown): Change =>
    proof => ({ ...proof, checkpoint: { ...proof.checkpoint, [name]: value } })
  const version =
    (name: keyof ProofJson['versions'][number], value: unknown): Change =>
    proof => ({ ...proof, versions: [{ ...proof.versions[0], [name]: value }] })
  const other = (hex: string): string => (hex.startsWith('0') ? '1' : '0') + hex.slice(1)
  const changes: [string, keyof typeof PROOF_FAULTS, Change][] = [
    ['the node', 'signature', field('node_id', '5e0c2a4e-90d4-4a43-8a5c-0f6f3b1d7a11')],
    ['the collection', 'signature', field('collection', 'imv')],
    ['the generation', 'signature', field('generation', 2)],
    ['the root', 'signature', field('root', '00'.repeat(32))],
    ['the digest', 'signature', field('digest', '00'.repeat(16))],
    ['the number of items', 'signature', field('item_count', 601)],
    ['the number of records', 'signature', field('record_count', 599)],
    ['the knowledge', 'signature', field('knowledge', '00'.repeat(16))],
    ['the logical clock', 'signature', field('logical_clock', 1)],
    ['the time', 'signature', field('time', 1.6e12)],
    ['whether the time is trusted', 'signature', field('trusted_time', false)],
    ['the digest salt', 'signature', field('digest_salt', '00'.repeat(16))],
    ['the key of the record', 'item', proof => ({ ...proof, key: 'k43' })],
    ['the origin of the version', 'item', version('origin', '00'.repeat(16))],
    ['the counter of the version', 'item', version('counter', 1)],
    ['the time of the version', 'item', version('time', 5)],
    ['the tick of the version', 'item', version('tick', 77)],
    ['the flags of the version', 'item', version('flags', 4)],
    ['the content', 'item', version('body', Buffer.from('{"i":43}').toString('base64'))],
    ['a hash of the list', 'signature', proof => ({ ...proof, bucket_items: other(proof.bucket_items) })],
    [
      'a shorter list',
      'signature',
      proof => ({ ...proof, bucket_items: Buffer.from(proof.bucket_items, 'base64').subarray(0, -16).toString('base64') }),
    ],
    ['the first sibling', 'path', proof => ({ ...proof, path: [other(proof.path[0]!), ...proof.path.slice(1)] })],
    ['the last sibling', 'path', proof => ({ ...proof, path: [...proof.path.slice(0, -1), other(proof.path[7]!)] })],
    ['the order of siblings', 'path', proof => ({ ...proof, path: proof.path.toReversed() })],
    ['a path that is too short', 'form', proof => ({ ...proof, path: proof.path.slice(1) })],
    ['a path that is too long', 'form', proof => ({ ...proof, path: [...proof.path, proof.path[0]] })],
    ['the public key', 'signature', proof => ({ ...proof, public_key: toHex(signingKeyOf(9).publicKey) })],
    ['a public key that is none', 'signature', proof => ({ ...proof, public_key: 'ff'.repeat(32) })],
    ['the signature', 'signature', proof => ({ ...proof, signature: other(proof.signature) })],
    ['the format', 'form', proof => ({ ...proof, format: 'hs-proof 2' })],
    ['one more field', 'form', proof => ({ ...proof, note: 'verified' })],
    ['one more field of the checkpoint', 'form', proof => ({ ...proof, checkpoint: { ...proof.checkpoint, city: 'Bern' } })],
    ['one field less', 'form', ({ key: _key, ...proof }) => proof],
    [
      'another spelling of a hash',
      'form',
      proof => ({ ...proof, checkpoint: { ...proof.checkpoint, root: proof.checkpoint.root.toUpperCase() } }),
    ],
    ['another spelling of the content', 'form', version('body', 'eyJpIjo0Mn1=')],
    ['a deletion', 'form', version('flags', 5)],
    ['flags of a later release', 'form', version('flags', 4 + 64)],
    ['a key that no record has', 'form', proof => ({ ...proof, key: '\u0007' })],
    ['no version', 'form', proof => ({ ...proof, versions: [] })],
    ['not an object', 'form', () => [1]],
    ['nothing', 'form', () => null],
  ]
  it.each(changes)('%s: the reason is %s', async (_what, part, change) => {
    const proof = await proveRecord(await filled(), 'imu', 'k42')
    const result = verifyDocument(change(proof))
    expect(partOf(result)).toBe(part)
    expect(PROOF_FAULTS[part]).toMatch(/^(it|the) /)
  })

  it('by a member that stands twice, or a number in another spelling, is found; white space is not tampering', async () => {
    const text = JSON.stringify(await proveRecord(await filled(), 'imu', 'k42'))
    const verifyText = (changed: string): string => partOf(verifyProofFile(Buffer.from(changed)))
    expect(verifyText(text.replace('"key":"k42"', '"key":"k43","key":"k42"'))).toBe('form')
    expect(verifyText(text.replace('"generation":1', '"generation":1e0'))).toBe('form')
    expect(verifyText(text.replace('"generation":1', '"generation":1.0'))).toBe('form')
    expect(verifyText(`\uFEFF${text}`)).toBe('form')
    expect(verifyText('')).toBe('form')
    expect(verifyText(`${JSON.stringify(JSON.parse(text), undefined, 2)}\n`)).toBe('none')
  })

  it('by a made-up list of items with the right sum is found: the sum alone would let any record in', async () => {
    const fixture = await filled()
    const hasher = createItemHasher(systemHash, SALT)
    const proof = await proveRecord(fixture, 'imu', 'k42')
    const items = Buffer.from(proof.bucket_items, 'base64')
    const sum = createDigestSum()
    for (let at = 0; at < items.length; at += 16) addItem(sum, items.subarray(at, at + 16))
    expect(sum.count).toBeGreaterThan(1)

    // A record that the node never held, and in the place of the other items one hash that makes the sum right again.
    const forged = { ...proof.versions[0]!, body: Buffer.from('{"i":"forged"}').toString('base64') }
    const hash = hasher.itemHash(encodeUtf8('k42')!, {
      flags: forged.flags,
      origin: forged.origin,
      counter: forged.counter,
      stamp: { ms: forged.time, tick: forged.tick },
      context: [],
      body: Buffer.from('{"i":"forged"}'),
    })
    const rest = createDigestSum()
    for (const lane of [0, 1, 2, 3]) rest.lanes[lane] = sum.lanes[lane]!
    removeItem(rest, hash)
    const filler = [...Array.from({ length: sum.count - 2 }, () => Buffer.alloc(16)), encodeSum(rest).subarray(0, 16)]
    const list = Buffer.concat([hash, ...filler])
    const same = createDigestSum()
    for (let at = 0; at < list.length; at += 16) addItem(same, list.subarray(at, at + 16))
    expect(same).toEqual(sum)

    const forgery = { ...proof, versions: [forged], bucket_items: list.toString('base64') }
    expect(partOf(verifyDocument(forgery))).toBe('signature')
    // The signature is what refuses it: its own signer could make it.
    const signature = toHex(signingKeyOf(1).sign(proofStatement(proof.checkpoint, 1, list)))
    expect(partOf(verifyDocument({ ...forgery, signature }))).toBe('none')
  })

  it('by adding the order of the group to a signature, which leaves it as good in the plain equation, is found', async () => {
    const proof = await proveRecord(await filled(), 'imu', 'k42')
    const bytes = Buffer.from(proof.signature, 'hex')
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order
    const added = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
    expect(partOf(verifyDocument({ ...proof, signature: bytes.subarray(0, 32).toString('hex') + added.toString('hex') }))).toBe('signature')
  })

  it('by an inner node in the place of a leaf is not possible: their hashes begin with different bytes', () => {
    const sum = createDigestSum()
    const leaf = Buffer.concat([Buffer.of(0, 2, 0, 0, 0, 7), encodeSum(sum)])
    expect(leafHash(7, sum)).toEqual(Buffer.from(systemHash.sha256(leaf)))
    expect(leafHash(7, sum)).not.toEqual(leafHash(8, sum))
  })
})

describe('the bounds of proofs', () => {
  it('a bucket with too many items is refused before one of them is read', async () => {
    const fixture = await openProofFixture(1, { itemsMax: 1 })
    await fixture.write(...Array.from({ length: 600 }, (_, i) => put('imu', `k${i}`)))
    await expect(fixture.prover.prove('imu', 'k1')).rejects.toMatchObject({ code: 'HS_TOO_LARGE' })
    expect(await fixture.prover.checkpoint('imu')).toBeDefined()
  })

  it('content and concurrent versions beyond their limits are refused', async () => {
    const small = await openProofFixture(1, { contentBytesMax: 10 })
    await small.write(put('c', 'k', 'twelve bytes'))
    await expect(small.prover.prove('c', 'k')).rejects.toMatchObject({ code: 'HS_TOO_LARGE' })

    const [a, b] = [await openProofFixture(1, { versionsMax: 1 }), await openProofFixture(2)]
    for (const { replica } of [a, b]) await replica.createCollection('c', { conflict: 'siblings' })
    await a.write(put('c', 'k', 1))
    await b.write(put('c', 'k', 2))
    await syncPair(a.replica, b.replica)
    await expect(a.prover.prove('c', 'k')).rejects.toMatchObject({ code: 'HS_TOO_LARGE' })
  })

  it('the largest proof that may be made fits into a file that may be verified, and is judged in a moment', async () => {
    const proof = await proveRecord(await filled(), 'imu', 'k42')
    const { versionsMax, itemsMax, contentBytesMax, fileBytesMax } = PROOF_LIMITS
    const items = Buffer.alloc(itemsMax * 16, 7)
    const body = (length: number): string => Buffer.alloc(length, 'x').toString('base64')
    const versions = Array.from({ length: versionsMax }, (_, i) => ({
      ...proof.versions[0]!,
      counter: Number.MAX_SAFE_INTEGER,
      time: 2 ** 48 - 1,
      body: body(i === 0 ? contentBytesMax : 0),
    }))
    const signature = toHex(signingKeyOf(1).sign(proofStatement(proof.checkpoint, versionsMax, items)))
    const file = Buffer.from(
      JSON.stringify({ ...proof, key: '"'.repeat(512), versions, bucket_items: items.toString('base64'), signature }),
    )
    expect(file.length).toBeLessThan(fileBytesMax)
    const startMs = performance.now()
    // It passes the form and the signature, and is no record.
    expect(partOf(verifyProofFile(file))).toBe('item')
    expect(performance.now() - startMs).toBeLessThan(5000)
    expect(partOf(verifyProofFile(new Uint8Array(fileBytesMax + 1)))).toBe('size')
  })

  it('a proof lists 16 bytes an item of its bucket, not of the collection', async () => {
    const proof = await proveRecord(await filled(), 'imu', 'k42')
    expect(Buffer.from(proof.bucket_items, 'base64').length).toBeLessThan(16 * 12)
    expect(fromHex(proof.signature)).toHaveLength(64)
  })
})
