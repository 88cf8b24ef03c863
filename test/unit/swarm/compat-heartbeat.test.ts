import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeUtf8 } from '../../../base/utf8.ts'
import { COMPAT_BYTES_MAX, decodeCompatHeartbeat, encodeCompatHeartbeat, leadingU64 } from '../../../swarm/compat-heartbeat.ts'
import type { CompatDigest, CompatHeartbeat } from '../../../swarm/compat-heartbeat.ts'

const U64_MAX = 2n ** 64n - 1n

const HEARTBEAT: CompatHeartbeat = {
  nodeId: 'e8b37fde-6c60-427f-8a09-47103c2da80e',
  role: 'Leader',
  httpPort: 50_050,
  gossipPort: 7_946,
  logicalClock: 4_200n,
  digests: [{ name: 'vision_system', stateHash: U64_MAX, vectorCount: 500n, logicalClock: 2n ** 53n + 1n }],
  timestampSecs: 1_729_384_910n,
}

const bytesOf = (text: string): Uint8Array => encodeUtf8(text)!
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const encoded = (heartbeat: CompatHeartbeat): Uint8Array => encodeCompatHeartbeat(heartbeat)!.bytes

test('P12 a heartbeat has the spelling that serde writes and reads: bare numbers, no bit lost', () => {
  expect(textOf(encoded(HEARTBEAT))).toBe(
    '{"type":"Heartbeat","node_id":"e8b37fde-6c60-427f-8a09-47103c2da80e","role":"Leader","http_port":50050,"gossip_port":7946,' +
      '"logical_clock":4200,"digests":[{"name":"vision_system","state_hash":18446744073709551615,"vector_count":500,' +
      '"logical_clock":9007199254740993}],"timestamp_secs":1729384910}',
  )
})

test('P12 every u64 comes through as it was, from 0 to 2^64 - 1', () => {
  const u64 = fc.oneof(fc.bigInt({ min: 0n, max: U64_MAX }), fc.constantFrom(0n, 2n ** 53n - 1n, 2n ** 53n + 1n, U64_MAX - 1n, U64_MAX))
  const digest: fc.Arbitrary<CompatDigest> = fc.record({
    name: fc.stringMatching(/^[a-z0-9_ü"\\/]{1,40}$/),
    stateHash: u64,
    vectorCount: u64,
    logicalClock: u64,
  })
  fc.assert(
    fc.property(u64, u64, fc.array(digest, { maxLength: 20 }), (logicalClock, timestampSecs, digests) => {
      const heartbeat = { ...HEARTBEAT, logicalClock, timestampSecs, digests }
      expect(decodeCompatHeartbeat(encoded(heartbeat))).toEqual(heartbeat)
    }),
  )
})

test('a datagram ends at 4,096 bytes, and holds as many of the first collections as fit', () => {
  const digests = Array.from({ length: 200 }, (_, i) => ({ ...HEARTBEAT.digests[0]!, name: `collection-${i}` }))
  const { bytes, digestCount } = encodeCompatHeartbeat({ ...HEARTBEAT, digests })!
  expect(bytes.length).toBeLessThanOrEqual(COMPAT_BYTES_MAX)
  expect(bytes.length).toBeGreaterThan(COMPAT_BYTES_MAX - 150)
  expect(decodeCompatHeartbeat(bytes)).toEqual({ ...HEARTBEAT, digests: digests.slice(0, digestCount) })
  expect(encodeCompatHeartbeat(HEARTBEAT, bytesOf(textOf(encoded({ ...HEARTBEAT, digests: [] }))).length)!.digestCount).toBe(0)
  expect(encodeCompatHeartbeat(HEARTBEAT, 100)).toBeUndefined()
})

test('unknown fields and another order are no fault', () => {
  const text = textOf(encoded(HEARTBEAT))
  const reordered = `{"extra":{"deep":[1.5,1e400,-1]},${text.slice('{"type":"Heartbeat",'.length, -1)},"type":"Heartbeat"}`
  expect(decodeCompatHeartbeat(bytesOf(reordered))).toEqual(HEARTBEAT)
})

test('the leading 64 bits of a digest are its leading 16 digits', () => {
  const digest = Uint8Array.from({ length: 16 }, (_, i) => 0xff - i)
  expect(leadingU64(digest).toString(16)).toBe('fffefdfcfbfaf9f8')
})

describe('P16 what is not exactly a heartbeat is refused with a reason', () => {
  const text = textOf(encoded(HEARTBEAT))
  test.each<[string, string, string]>([
    ['nothing', '', 'malformed'],
    ['half of one', text.slice(0, 100), 'malformed'],
    ['two', text + text, 'malformed'],
    ['another message', '{"type":"SyncRequest","from_node_id":"a","collection":"b","bucket_hashes":[]}', 'other-message'],
    ['a list', `[${text}]`, 'malformed'],
    ['no type', '{}', 'other-message'],
    ['2^64', text.replace('4200', '18446744073709551616'), 'malformed'],
    ['a clock of twenty-one digits', text.replace('4200', '1'.repeat(21)), 'malformed'],
    ['a negative clock', text.replace('4200', '-1'), 'malformed'],
    ['a fraction', text.replace('4200', '4200.0'), 'malformed'],
    ['an exponent', text.replace('4200', '42e2'), 'malformed'],
    ['a clock as text', text.replace('4200', '"4200"'), 'malformed'],
    ['no clock', text.replace('"logical_clock":4200,', ''), 'malformed'],
    ['a port beyond 65535', text.replace('50050', '65536'), 'malformed'],
    ['no port to answer to', text.replace('7946', '0'), 'malformed'],
    ['an id that would move a terminal’s cursor', text.replace('e8b37fde', '\\u001b[2J'), 'malformed'],
    ['an empty id', text.replace(HEARTBEAT.nodeId, ''), 'malformed'],
    ['a name with a line end', text.replace('vision_system', 'vision\\nsystem'), 'malformed'],
    ['a name of 257 characters', text.replace('vision_system', 'v'.repeat(257)), 'malformed'],
    ['a name that is no Unicode', text.replace('vision_system', '\\ud800'), 'malformed'],
    ['digests that are no list', text.replace('"digests":[', '"digests":7,"x":['), 'malformed'],
    ['a digest without a name', text.replace('"name":"vision_system",', ''), 'malformed'],
    ['more than 4,096 bytes', text + ' '.repeat(4_096), 'too-large'],
    ['levels without end', '{"type":'.padEnd(4_096, '['), 'malformed'],
  ])('%s', (_title, sent, reason) => {
    expect(decodeCompatHeartbeat(bytesOf(sent))).toBe(reason)
  })

  test('bytes that are no UTF-8', () => {
    expect(decodeCompatHeartbeat(Uint8Array.of(0x7b, 0xff, 0x7d))).toBe('malformed')
  })
})
