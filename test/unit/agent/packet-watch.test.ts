/** What is remembered of packets that were not taken: enough to explain it, and never more than a bounded amount, whoever sends. */
import { describe, expect, it } from 'vitest'
import { readPacketClaim } from '../../../agent/packet-claim.ts'
import { createLinkRecord, LINK_RECORDS_MAX } from '../../../agent/link-record.ts'
import { createPacketWatch, type PacketWatch } from '../../../agent/packet-watch.ts'
import { STRANGERS_MAX, STRANGERS_PER_HOST_MAX } from '../../../agent/strangers.ts'
import { createSystemFaults, SYSTEM_FAULTS_MAX } from '../../../agent/system-faults.ts'
import type { RejectReason } from '../../../swarm/events.ts'
import { encodeHeader } from '../../../swarm/packet.ts'

const OWN = '00000000-0000-4000-8000-000000000000'

const idOf = (number: number): string => `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`
const bytesOf = (nodeId: string): Uint8Array => Uint8Array.from(Buffer.from(nodeId.replaceAll('-', ''), 'hex'))

/** A packet as far as its header goes. */
function packetOf(nodeId: string, { multicast = false, keyId = 0 } = {}): Uint8Array {
  const fixed = new Uint8Array(32)
  fixed.set(bytesOf(nodeId), 8)
  return Uint8Array.from([...encodeHeader(fixed, keyId, 1, multicast), ...new Uint8Array(32)])
}

function startWatch(members: readonly string[] = []): {
  watch: PacketWatch
  take: (bytes: Uint8Array, reason?: RejectReason, host?: string, port?: number) => void
  wait: (ms: number) => void
} {
  let nowMs = 1_000
  const watch = createPacketWatch({ nodeId: OWN, isMember: nodeId => members.includes(nodeId), monotonicMs: () => nowMs })
  return {
    watch,
    wait: ms => void (nowMs += ms),
    take(bytes, reason, host = '10.0.0.2', port = 7946) {
      watch.began(bytes, { host, port }, false)
      if (reason !== undefined) watch.refused(reason)
      watch.ended()
    },
  }
}

describe('packets that are not taken', () => {
  it('are counted by their sender, with the reason of the last one, what it claims, and when', () => {
    const { watch, take, wait } = startWatch()
    take(packetOf(idOf(7), { keyId: 0xaabbccdd }), 'unknown-key')
    wait(500)
    take(packetOf(idOf(7)), 'other-swarm')
    expect(watch.strangers()).toMatchObject([
      {
        host: '10.0.0.2',
        port: 7946,
        reason: 'other-swarm',
        packets: 2,
        firstMs: 1_000,
        lastMs: 1_500,
        claim: { kind: 'agent', version: 1, nodeId: idOf(7), keyId: 0 },
      },
    ])
  })

  it('of a node that is welcome and not listed are unproven, until it is', () => {
    const members: string[] = []
    const { watch, take } = startWatch(members)
    take(packetOf(idOf(7)))
    expect(watch.strangers()).toMatchObject([{ reason: 'unproven', packets: 1 }])
    members.push(idOf(7))
    take(packetOf(idOf(7)))
    expect(watch.strangers()).toEqual([])
  })

  it('of this node, and copies of what members sent, are nobody of note', () => {
    const { watch, take } = startWatch([idOf(7)])
    take(packetOf(OWN), 'stale-boot')
    take(packetOf(idOf(7)), 'duplicate')
    expect(watch.strangers()).toEqual([])
  })

  it('P16 fill no more than a table, the oldest goes first, and one host takes no more than its share of it', () => {
    const { watch, take } = startWatch()
    for (let i = 0; i < 1_000; i++) take(packetOf(idOf(i)), 'other-swarm', '10.0.0.66')
    expect(watch.strangers()).toHaveLength(STRANGERS_PER_HOST_MAX + 1)
    for (let i = 0; i < 1_000; i++) take(Uint8Array.of(i & 0xff), 'not-a-packet', `10.1.${i >> 8}.${i & 0xff}`)
    const hosts = watch.strangers().map(({ host }) => host)
    expect(hosts).toHaveLength(STRANGERS_MAX)
    expect(hosts.at(-1)).toBe('10.1.3.231')
    expect(hosts).not.toContain('10.0.0.66')
  })

  it('a beacon tells no port, and does not hide the one that is known', () => {
    const { watch, take } = startWatch()
    take(packetOf(idOf(7), { multicast: true }), 'other-swarm', '10.0.0.2', 40_001)
    expect(watch.strangers()[0]!.port).toBeUndefined()
    take(packetOf(idOf(7)), 'other-swarm')
    take(packetOf(idOf(7), { multicast: true }), 'other-swarm', '10.0.0.2', 40_002)
    expect(watch.strangers()).toMatchObject([{ port: 7946, packets: 3 }])
  })

  it('whatever the group brings is a sign that it carries: of others, and apart from it our own', () => {
    const { watch, take, wait } = startWatch()
    expect(watch.groupHeardMs()).toEqual({ others: undefined, own: undefined })
    take(packetOf(OWN, { multicast: true }))
    wait(10)
    take(packetOf(idOf(7), { multicast: true }), 'other-swarm')
    wait(10)
    take(packetOf(idOf(8)), 'other-swarm')
    expect(watch.groupHeardMs()).toEqual({ others: 1_010, own: 1_000 })
  })
})

it.each([
  ['nothing', new Uint8Array(0), { kind: 'other', version: undefined }],
  ['JSON', Uint8Array.from(Buffer.from('{"type":"Heartbeat"}')), { kind: 'json', version: undefined }],
  ['another version', Uint8Array.from([0x68, 0x73, 9, ...new Uint8Array(80)]), { kind: 'agent', version: 9, nodeId: undefined }],
  ['a cut header', Uint8Array.of(0x68, 0x73, 1), { kind: 'agent', version: 1, nodeId: undefined }],
])('P16 the claim of %s is read without a fault', (_what, bytes, claim) => {
  expect(readPacketClaim(bytes)).toMatchObject(claim)
})

it('faults of the system and attempts at links are counted up to a bound, the oldest go first', () => {
  let nowMs = 0
  const faults = createSystemFaults(() => nowMs)
  for (let i = 0; i < 100; i++) faults.note(`join on veth${i}`, 'ENODEV')
  nowMs = 5
  faults.note('join on veth99', 'ENODEV')
  expect(faults.list()).toHaveLength(SYSTEM_FAULTS_MAX)
  expect(faults.list().at(-1)).toEqual({ what: 'join on veth99', code: 'ENODEV', count: 2, lastMs: 5 })

  const links = createLinkRecord(() => nowMs)
  for (let port = 1; port <= LINK_RECORDS_MAX + 1; port++) links.note({ host: '10.0.0.2', port }, 'open')
  links.note({ host: '10.0.0.2', port: 9 }, 'ECONNREFUSED')
  expect(links.last({ host: '10.0.0.2', port: 9 })).toEqual({ outcome: 'ECONNREFUSED', atMs: 5 })
  expect(links.last({ host: '10.0.0.2', port: 1 })).toBeUndefined()
  expect(links.last({ host: '10.0.0.2', port: 2 })).toBeDefined()
})
