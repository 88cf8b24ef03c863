import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalHost, decodeHost, encodeHost, isTellable, isUnicast } from '../../../swarm/address.ts'
import { createVirtualNetwork, NODE_ID } from './virtual-network.ts'

describe('P15 two processes with one node id', () => {
  test('both report it when they hear one another, and neither lists itself (G6)', () => {
    const net = createVirtualNetwork()
    const [a, b] = [net.add(7, { host: '10.0.0.7' }), net.add(7, { host: '10.0.0.8' })]
    net.run(150_000)
    for (const node of [a, b]) {
      expect(node.lists()).toEqual([])
      const reports = node.effects('duplicate-identity')
      expect(reports[0]!.nodeId).toBe(NODE_ID(7))
      // Two and a half minutes, at most one a minute.
      expect(reports.length).toBeGreaterThanOrEqual(2)
      expect(reports.length).toBeLessThanOrEqual(3)
    }
  })

  test('copies of one card that count the same boot differ in the random part', () => {
    const net = createVirtualNetwork()
    const [a, b] = [net.add(7, { host: '10.0.0.7', bootCounter: 5 }), net.add(7, { host: '10.0.0.8', bootCounter: 5 })]
    net.run(10_000)
    for (const node of [a, b]) expect(node.effects('duplicate-identity')).toHaveLength(1)
  })

  test('both hear of it through a third node that they share as a seed, and that lists one of them (G6)', () => {
    const net = createVirtualNetwork()
    const hub = net.add(1, { multicast: false })
    const settings = { multicast: false, seeds: [hub.address] }
    const [a, b] = [net.add(7, { ...settings, host: '10.0.0.7' }), net.add(7, { ...settings, host: '10.0.0.8' })]
    net.run(15_000)
    expect(hub.lists()).toEqual(['robot-7'])
    for (const node of [a, b]) expect(node.effects('duplicate-identity')).toHaveLength(1)
  })
})

describe('addresses', () => {
  test('four or sixteen bytes and text are two forms of one thing', () => {
    const bytes = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
    fc.assert(
      fc.property(bytes, host => {
        const text = decodeHost(host)!
        expect(decodeHost(encodeHost(text)!)).toBe(text)
        expect(canonicalHost(text)).toBe(text)
      }),
    )
  })

  test.each([
    ['::', '::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::1', '2001:db8::1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['robot.local', 'robot.local'],
  ])('%s is written %s', (text, canonical) => {
    expect(canonicalHost(text)).toBe(canonical)
  })

  test.each(['', '1.2.3', '1.2.3.256', '01.2.3.4', '1::2::3', ':1', '1:2:3:4:5:6:7:8:9', 'g::', '::1.2.3', '1.2.3.4:80'])(
    '%j is no address',
    text => {
      expect(encodeHost(text)).toBeUndefined()
      expect(isUnicast(text)).toBe(false)
    },
  )

  test('P16 a rumour cannot send us to a group, to everybody, or to nobody', () => {
    for (const host of ['0.0.0.0', '239.83.65.71', '255.255.255.255', 'ff02::1', '::']) expect(isUnicast(host)).toBe(false)
    for (const host of ['127.0.0.1', '192.0.2.7', '2001:db8::1']) expect(isUnicast(host)).toBe(true)
  })

  test('a loopback address is told to nobody on another machine', () => {
    expect(isTellable('127.0.0.1', '127.0.0.1')).toBe(true)
    expect(isTellable('127.0.0.1', '192.0.2.7')).toBe(false)
    expect(isTellable('192.0.2.7', '127.0.0.1')).toBe(true)
    expect(isTellable('fe80::1', 'fe80::2')).toBe(false)
  })
})
