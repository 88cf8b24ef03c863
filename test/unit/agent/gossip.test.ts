import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { randomInt, randomUUID } from 'node:crypto'
import type { NetworkInterfaceInfo } from 'node:os'
import pino from 'pino'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createCodec } from '../../../agent/codec.ts'
import { chooseInterfaces, leftOutInterfaces } from '../../../agent/gossip-interfaces.ts'
import { watchSeeds } from '../../../agent/gossip-seeds.ts'
import { startGossip } from '../../../agent/gossip.ts'
import type { Gossip, GossipListeners, GossipOptions } from '../../../agent/gossip.ts'
import { createSystemClock, systemCryptography, systemHash, systemRandom } from '../../../agent/ports.ts'
import type { CollectionDigest } from '../../../swarm/digest-list.ts'
import type { LocalState } from '../../../swarm/events.ts'
import type { MemberView } from '../../../swarm/member.ts'

/** A group of its own for each run, so that runs on one machine do not meet one another. */
const GROUP = { group: `239.83.${randomInt(1, 255)}.${randomInt(1, 255)}`, port: randomInt(20_000, 29_000) }

const opened: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(one => one.close()))
})

/** A UDP port of 127.0.0.1 that was free a moment ago. */
async function freePort(): Promise<number> {
  const socket = await bind(0)
  const { port } = socket.address()
  await new Promise<void>(resolve => {
    socket.close(() => resolve())
  })
  return port
}

function bind(port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  return new Promise(resolve => {
    socket.bind(port, '127.0.0.1', () => resolve(socket))
  })
}

const SILENT: GossipListeners = {
  digests: () => {},
  joined: () => {},
  updated: () => {},
  dropped: () => {},
  observeClock: () => {},
  duplicateIdentity: () => {},
}

interface Node extends Gossip {
  readonly nodeId: string
  readonly address: { host: string; port: number }
  readonly told: { nodeId: string; differing: readonly string[] }[]
  hold(...collections: CollectionDigest[]): void
}

async function start(settings: Partial<GossipOptions> = {}): Promise<Node> {
  const port = settings.port ?? (await freePort())
  const nodeId = settings.nodeId ?? randomUUID()
  const told: Node['told'] = []
  let state: LocalState = { logicalClock: 0, collections: [] }
  const gossip = await startGossip({
    nodeId,
    nodeName: `robot-${port}`,
    bootCounter: 1,
    role: 'edge',
    httpPort: 50_050,
    httpReachable: false,
    port,
    host: '127.0.0.1',
    multicast: GROUP,
    interfaces: ['lo'],
    seeds: [],
    remembered: [],
    profile: 'local',
    swarmName: 'default',
    open: false,
    keys: [],
    compat: 'off',
    clock: createSystemClock(() => true),
    random: systemRandom,
    hash: systemHash,
    cryptography: systemCryptography,
    codec: createCodec(),
    log: pino({ level: 'silent' }),
    localState: () => state,
    on: { ...SILENT, digests: (nodeId, differing) => void told.push({ nodeId, differing }) },
    ...settings,
  })
  opened.push(gossip)
  return {
    ...gossip,
    nodeId,
    address: { host: '127.0.0.1', port },
    told,
    hold(...collections) {
      state = { logicalClock: state.logicalClock + 1, collections }
      gossip.localStateChanged()
    },
  }
}

const lists = (gossip: Gossip): string[] =>
  gossip
    .members()
    .map(({ nodeName }) => nodeName)
    .sort()
const namesOf = (...nodes: Node[]): string[] => nodes.map(({ address }) => `robot-${address.port}`).sort()
const soon = { timeout: 10_000, interval: 10 }

const imu: CollectionDigest = { name: 'imu', generation: 1, digest: new Uint8Array(16).fill(3), recordCount: 7, vectorCount: 0 }

test('three agents on one host meet by multicast on lo alone, learn of a change at once, and of a farewell', async () => {
  const [a, b, c] = [await start(), await start(), await start()]
  await vi.waitFor(() => {
    expect(lists(a)).toEqual(namesOf(b, c))
    expect(lists(b)).toEqual(namesOf(a, c))
    expect(lists(c)).toEqual(namesOf(a, b))
  }, soon)
  expect(a.stats().interfaces).toMatchObject([{ name: 'lo', joined: true, speaking: true, code: undefined }])
  expect(a.member(b.nodeId)).toMatchObject({ host: '127.0.0.1', gossipPort: b.address.port, httpPort: 50_050, mayExchange: false })
  await vi.waitFor(() => expect(a.member(b.nodeId)!.rttMs).toBeGreaterThan(0), soon)

  a.hold(imu)
  await vi.waitFor(() => expect(b.told).toContainEqual({ nodeId: a.nodeId, differing: ['imu'] }), soon)
  expect(b.member(a.nodeId)!.collections).toEqual([imu])
  b.hold(imu)
  await vi.waitFor(() => expect(b.told.filter(({ nodeId }) => nodeId === a.nodeId).at(-1)!.differing).toEqual([]), soon)

  await c.close()
  await vi.waitFor(() => expect(lists(a)).toEqual(namesOf(b)), soon)
  expect(a.departed()).toMatchObject([{ nodeId: c.nodeId, status: 'left' }])
  expect(a.departed()[0]!.heardAgoMs).toBeGreaterThanOrEqual(a.departed()[0]!.departedAgoMs)
  await start({ nodeId: c.nodeId, bootCounter: 2 })
  await vi.waitFor(() => expect(a.departed()).toEqual([]), soon)
})

test('seeds alone are enough, by address or by name, and whoever is named may exchange data', async () => {
  const a = await start({ multicast: undefined })
  const b = await start({ multicast: undefined, seeds: [a.address] })
  const c = await start({ multicast: undefined, seeds: [{ host: 'localhost', port: a.address.port }] })
  await vi.waitFor(() => {
    expect(lists(b)).toEqual(namesOf(a, c))
    expect(lists(c)).toEqual(namesOf(a, b))
  }, soon)
  await vi.waitFor(() => {
    expect(b.member(a.nodeId)!.trust).toBe('named-by-us')
    expect(a.member(b.nodeId)!.trust).toBe('named-by-peer')
    expect(c.member(b.nodeId)!.trust).toBe('not-named')
  }, soon)
  expect(a.stats().received.multicast.packets).toBe(0)
})

test('the unicast port may be the number of the group’s port', async () => {
  const port = await freePort()
  const multicast = { ...GROUP, port }
  const a = await start({ host: '0.0.0.0', port, multicast })
  const b = await start({ host: '0.0.0.0', multicast })
  await vi.waitFor(() => {
    expect(lists(a)).toEqual(namesOf(b))
    expect(lists(b)).toEqual(namesOf(a))
  }, soon)
  // What a hears of the group on its unicast socket is not taken for unicast.
  expect(a.member(b.nodeId)!.gossipPort).toBe(b.address.port)
  expect(b.member(a.nodeId)!.gossipPort).toBe(port)
})

test('P16 garbage on the port is counted and survived', async () => {
  const a = await start()
  const garbage = await bind(0)
  opened.push({
    close: () =>
      new Promise(resolve => {
        garbage.close(() => resolve())
      }),
  })
  for (const bytes of [new Uint8Array(0), new Uint8Array(100), new Uint8Array(1_201), new Uint8Array(60_000), systemRandom.bytes(1_000)]) {
    garbage.send(bytes, a.address.port, '127.0.0.1')
  }
  await vi.waitFor(() => {
    const rejects = a.stats().rejectsByReason
    expect(rejects.get('truncated')).toBe(1)
    expect(rejects.get('not-a-packet')).toBe(2)
    expect(rejects.get('too-large')).toBe(2)
  }, soon)
  const b = await start()
  await vi.waitFor(() => expect(lists(a)).toEqual(namesOf(b)), soon)
})

test('a port that is taken is one clear sentence', async () => {
  const taken = await start({ multicast: undefined })
  await expect(start({ multicast: undefined, port: taken.address.port })).rejects.toMatchObject({
    code: 'HS_BIND_FAILED',
    message: `The gossip socket cannot be bound to UDP 127.0.0.1:${taken.address.port}: it is taken by another process.`,
  })
})

test('P18 no network at all is not fatal: what the system refuses is counted, and seeds still work', async () => {
  const a = await start({ interfaces: ['no-such-interface'] })
  const b = await start({ seeds: [a.address, { host: 'name.invalid', port: 7_946 }, { host: '192.0.2.255', port: 9 }] })
  await vi.waitFor(() => expect(lists(b)).toEqual(namesOf(a)), soon)
  expect(a.stats().interfaces.filter(({ joined }) => joined)).toEqual([])
})

test('P18 an agent that was stopped for an hour does not take its own silence for that of others', async () => {
  let aheadMs = 0
  const clock = createSystemClock(() => true)
  const dropped = vi.fn<(view: MemberView) => void>()
  const a = await start({ clock: { ...clock, monotonicMs: () => clock.monotonicMs() + aheadMs }, on: { ...SILENT, dropped } })
  const b = await start()
  await vi.waitFor(() => expect(lists(a)).toEqual(namesOf(b)), soon)
  aheadMs = 3_600_000
  await vi.waitFor(() => expect(a.members()[0]!.heardAgoMs).toBeLessThan(30_000), soon)
  expect(dropped).not.toHaveBeenCalled()
})

test('P18 datagrams that wait are read before an overdue timer is judged, also more than 32', async () => {
  const datagrams = 300
  let isOverdue = false
  // Asked at each heartbeat: what had been read by then?
  const readByFirstTick: number[] = []
  const a: Node = await start({
    httpPort() {
      if (isOverdue) readByFirstTick.push(a.stats().received.unicast.packets)
      return 50_050
    },
  })
  const sender = await bind(0)
  for (let i = 0; i < datagrams; i++) sender.send(new Uint8Array(10), a.address.port, '127.0.0.1')
  await new Promise<void>(resolve => {
    // The sends above are made in earlier ticks of this queue. The loop then stands still for longer than a period.
    process.nextTick(() => {
      isOverdue = true
      const untilMs = performance.now() + 300
      while (performance.now() < untilMs);
      resolve()
    })
  })
  await vi.waitFor(() => expect(readByFirstTick.length).toBeGreaterThan(0), soon)
  expect(readByFirstTick[0]).toBe(datagrams)
  sender.close()
})

describe('the choice of interfaces', () => {
  const info = (address: string, internal = false) => ({
    address,
    internal,
    family: 'IPv4' as const,
    netmask: '255.255.255.0',
    mac: '00:00:00:00:00:00',
    cidr: null,
  })
  const lo = [info('127.0.0.1', true)]
  const board = { lo, wlan0: [info('192.0.2.7'), info('192.0.2.8')], eth0: [info('198.51.100.7')] }
  const docker = { docker0: [info('172.17.0.1')], vethab12: [info('169.254.1.1')], 'br-12': [info('172.18.0.1')] }

  const info6 = (address: string): NetworkInterfaceInfo => ({
    address,
    family: 'IPv6',
    scopeid: 0,
    internal: false,
    netmask: 'ffff:ffff:ffff:ffff::',
    mac: '00:00:00:00:00:00',
    cidr: null,
  })
  const v6 = { eth0: [info6('fe80::1'), info6('2001:db8::7')] }

  test.each<[string, Parameters<typeof chooseInterfaces>, string[]]>([
    [
      'all that look outward, by their first address',
      [{ ...board, ...docker }, undefined, '0.0.0.0', 'IPv4'],
      ['192.0.2.7', '198.51.100.7'],
    ],
    ['loopback when there is nothing else', [{ lo, ...docker }, undefined, '0.0.0.0', 'IPv4'], ['127.0.0.1']],
    ['nothing when there is nothing', [{}, undefined, '0.0.0.0', 'IPv4'], []],
    ['those named', [{ ...board, ...docker }, ['lo', 'docker0'], '0.0.0.0', 'IPv4'], ['127.0.0.1', '172.17.0.1']],
    ['those named by address', [board, ['192.0.2.8'], '0.0.0.0', 'IPv4'], ['192.0.2.8']],
    ['the one that the socket is bound to', [board, undefined, '198.51.100.7', 'IPv4'], ['198.51.100.7']],
    ['none of those named when the socket is bound to another', [board, ['wlan0'], '127.0.0.1', 'IPv4'], []],
    ['with an IPv6 group, the first address that others can answer to', [v6, undefined, '::', 'IPv6'], ['2001:db8::7']],
  ])('%s', (_title, args, expected) => {
    expect(chooseInterfaces(...args).map(({ address }) => address)).toEqual(expected)
    const names = new Set([...chooseInterfaces(...args), ...leftOutInterfaces(...args)].map(({ name }) => name))
    expect(names).toEqual(new Set(Object.keys(args[0])))
  })

  test.each<[string, Parameters<typeof leftOutInterfaces>, Record<string, string>]>([
    [
      'loopback and those of containers',
      [{ ...board, docker0: docker.docker0 }, undefined, '0.0.0.0', 'IPv4'],
      { lo: 'loopback', docker0: 'container' },
    ],
    ['all that are not named', [board, ['eth0'], '0.0.0.0', 'IPv4'], { lo: 'not-named', wlan0: 'not-named' }],
    ['all but the one that the socket is bound to', [board, undefined, '192.0.2.8', 'IPv4'], { lo: 'not-bound', eth0: 'not-bound' }],
  ])('leaves out %s, and says so', (_title, args, expected) => {
    expect(Object.fromEntries(leftOutInterfaces(...args).map(({ name, reason }) => [name, reason]))).toEqual(expected)
  })
})

describe('the addresses behind names', () => {
  test('literals are given at once, names when they resolve; one that stops resolving keeps its addresses', async () => {
    const given: string[] = []
    const answers = [['192.0.2.1'], [], ['192.0.2.2', '192.0.2.2']]
    const lookup = vi.fn<(host: string) => Promise<string[]>>(() => {
      const hosts = answers.shift() ?? []
      return hosts.length > 0 ? Promise.resolve(hosts) : Promise.reject(new Error('ENOTFOUND'))
    })
    const seeds = [
      { host: '198.51.100.1', port: 1 },
      { host: 'base.local', port: 2 },
      { host: 'base.local', port: 3 },
    ]
    const watch = watchSeeds(seeds, lookup, addresses => void given.push(addresses.map(({ host, port }) => `${host}:${port}`).join(' ')), 5)
    expect(given).toEqual(['198.51.100.1:1'])
    await vi.waitFor(() => expect(given).toHaveLength(3), soon)
    await vi.waitFor(() => expect(lookup.mock.calls.length).toBeGreaterThan(4), soon)
    watch.close()
    expect(given.slice(1)).toEqual(['198.51.100.1:1 192.0.2.1:2 192.0.2.1:3', '198.51.100.1:1 192.0.2.2:2 192.0.2.2:3'])
  })
})
