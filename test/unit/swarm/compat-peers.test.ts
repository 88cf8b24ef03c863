import { expect, test } from 'vitest'
import { encodeCompatHeartbeat } from '../../../swarm/compat-heartbeat.ts'
import type { CompatHeartbeat } from '../../../swarm/compat-heartbeat.ts'
import { COMPAT_LIMITS, createCompatPeers } from '../../../swarm/compat-peers.ts'
import type { CompatPeers } from '../../../swarm/compat-peers.ts'
import { createSeededRandom } from '../../seeded-random.ts'

const OWN = '00000000-0000-4000-8000-000000000001'
const A = '00000000-0000-4000-8000-00000000000a'
const WALL_MS = 1_700_000_000_000

const heartbeat = (nodeId = A, changed: Partial<CompatHeartbeat> = {}): Uint8Array =>
  encodeCompatHeartbeat({
    nodeId,
    role: 'Leader',
    httpPort: 50_050,
    gossipPort: 7_946,
    logicalClock: 7n,
    digests: [],
    timestampSecs: BigInt(WALL_MS / 1_000),
    ...changed,
  })!.bytes

const from = (host: string, port = 40_000) => ({ host, port })
const ids = (peers: CompatPeers, nowMs: number): string[] => peers.list(nowMs).map(one => one.heartbeat.nodeId)

/** Ticks every 5 s from `fromMs` to `untilMs`, as the driver does. */
function tickThrough(peers: CompatPeers, fromMs: number, untilMs: number): string[] {
  const gone: string[] = []
  for (let atMs = fromMs; atMs <= untilMs; atMs += COMPAT_LIMITS.intervalMs) gone.push(...peers.tick(atMs))
  return gone
}

test('P6 a node is listed until 30 s after its last heartbeat by our monotonic clock, whatever its own clock says', () => {
  for (const timestampSecs of [0n, 2n ** 64n - 1n]) {
    const peers = createCompatPeers(OWN, () => false)
    expect(peers.hear(heartbeat(A, { timestampSecs }), from('10.0.0.2'), 1_000, WALL_MS)).toBe('joined')
    expect(tickThrough(peers, 0, 30_000)).toEqual([])
    expect(peers.list(30_999)).toMatchObject([{ address: { host: '10.0.0.2', port: 7_946 }, heardAgoMs: 29_999 }])
    expect(ids(peers, 31_000)).toEqual([])
    expect(peers.tick(35_000)).toEqual([A])
    expect(peers.hear(heartbeat(A), from('10.0.0.2'), 36_000, WALL_MS)).toBe('joined')
  }
})

test('P18 who stood still does not take its own silence for that of others', () => {
  const peers = createCompatPeers(OWN, () => false)
  peers.hear(heartbeat(), from('10.0.0.2'), 0, WALL_MS)
  peers.tick(0)
  expect(ids(peers, 3_600_000)).toEqual([A])
  expect(peers.tick(3_600_000)).toEqual([])
  expect(ids(peers, 3_609_000)).toEqual([A])
  expect(tickThrough(peers, 3_605_000, 3_610_000)).toEqual([A])
})

test('P16 the id of a member and our own are refused, and whoever becomes a member is no longer listed here (C2)', () => {
  const members = new Set<string>()
  const peers = createCompatPeers(OWN, id => members.has(id))
  expect(peers.hear(heartbeat(OWN.toUpperCase()), from('10.0.0.2'), 0, WALL_MS)).toBe('own-id')
  expect(peers.hear(heartbeat(A.toUpperCase()), from('10.0.0.2'), 0, WALL_MS)).toBe('joined')
  members.add(A)
  expect(ids(peers, 1)).toEqual([])
  expect(peers.tick(1)).toEqual([A.toUpperCase()])
  expect(peers.hear(heartbeat(A), from('10.0.0.2'), 2, WALL_MS)).toBe('native-id')
  expect(peers.hear(heartbeat(A.toUpperCase()), from('10.0.0.2'), 2, WALL_MS)).toBe('native-id')
  expect(ids(peers, 3)).toEqual([])
})

test('P16 a host cannot take a node that is heard from another one', () => {
  const peers = createCompatPeers(OWN, () => false)
  peers.hear(heartbeat(), from('10.0.0.2'), 0, WALL_MS)
  expect(peers.hear(heartbeat(), from('10.0.0.66'), 14_000, WALL_MS)).toBe('other-host')
  expect(peers.hear(heartbeat(), from('10.0.0.3'), 15_000, WALL_MS)).toBe('heard')
  expect(peers.list(15_000)).toMatchObject([{ address: { host: '10.0.0.3' } }])
})

test('P16 the table is bounded, per host and as a whole, and those in it stay (C3)', () => {
  const peers = createCompatPeers(OWN, () => false, { ...COMPAT_LIMITS, sourceRate: { perSecond: 1e6, burst: 1e6 } })
  const outcomes = new Map<string, number>()
  for (let host = 1; host <= 20; host++) {
    for (let i = 0; i < 100; i++) {
      const outcome = peers.hear(heartbeat(`node-${host}-${i}`), from(`10.0.0.${host}`), 0, WALL_MS)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
  }
  expect(Object.fromEntries(outcomes)).toEqual({ joined: COMPAT_LIMITS.peersMax, 'table-full': 2_000 - COMPAT_LIMITS.peersMax })
  expect(ids(peers, 1).filter(id => id.startsWith('node-1-'))).toHaveLength(COMPAT_LIMITS.peersPerHostMax)
  expect(peers.hear(heartbeat('node-1-0'), from('10.0.0.1'), 1, WALL_MS)).toBe('heard')
})

test('P16 a source that sends too much is not read', () => {
  const peers = createCompatPeers(OWN, () => false)
  const outcomes = Array.from({ length: 1_000 }, () => peers.hear(heartbeat(), from('10.0.0.2'), 0, WALL_MS))
  expect(outcomes.filter(outcome => outcome !== 'rate-limited')).toHaveLength(COMPAT_LIMITS.sourceRate.burst)
  expect(peers.hear(heartbeat('another'), from('10.0.0.3'), 0, WALL_MS)).toBe('joined')
})

test('P16 no address gets more than three times the bytes that came from it (C4)', () => {
  const random = createSeededRandom(7)
  const peers = createCompatPeers(OWN, () => false)
  const bytes = heartbeat()
  let received = 0
  let sent = 0
  for (let atMs = 0; atMs < 600_000; atMs += 5_000) {
    if (random.fraction() < 0.3) {
      peers.hear(bytes, from('10.0.0.2'), atMs, WALL_MS)
      received += bytes.length
    }
    peers.tick(atMs)
    peers.greetEach(atMs, (to, bytesMax) => {
      expect(to).toEqual({ host: '10.0.0.2', port: 7_946 })
      const bytesSent = bytesMax < 200 ? 0 : Math.min(bytesMax, 1_000)
      sent += bytesSent
      return bytesSent
    })
    expect(sent).toBeLessThanOrEqual(3 * received)
  }
  expect(sent).toBeGreaterThan(received)
  // Nor has another port of that host earned anything.
  peers.hear(heartbeat(A, { gossipPort: 53 }), from('10.0.0.2'), 600_000, WALL_MS)
  peers.greetEach(600_000, (_to, bytesMax) => {
    expect(bytesMax).toBeLessThanOrEqual(3 * bytes.length)
    return 0
  })
})

test('P16 mutated heartbeats raise no exception and leave what is listed as it was', () => {
  const random = createSeededRandom(20_260_301)
  const pick = (below: number): number => Math.floor(random.fraction() * below)
  const peers = createCompatPeers(OWN, () => false, { ...COMPAT_LIMITS, sourceRate: { perSecond: 1e6, burst: 1e6 } })
  peers.hear(heartbeat(), from('10.0.0.2'), 0, WALL_MS)
  const before = peers.list(0)
  const outcomes = new Set<string>()
  const original = heartbeat(A, { digests: [{ name: 'imu', stateHash: 2n ** 64n - 1n, vectorCount: 1n, logicalClock: 1n }] })
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from(original.subarray(0, i % 2 === 0 ? original.length : pick(original.length)))
    for (let flips = 1 + pick(4); flips > 0; flips--) bytes[pick(bytes.length)]! ^= 1 << pick(8)
    // From another host: what is still well formed is another node, or a claim to be one that is known.
    outcomes.add(peers.hear(bytes, from('10.0.0.66'), 0, WALL_MS))
  }
  expect(outcomes).toContain('malformed')
  expect(outcomes).toContain('other-host')
  expect(peers.list(0).filter(({ address }) => address.host === '10.0.0.2')).toEqual(before)
})
