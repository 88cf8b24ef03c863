import { randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createLinkSecurity } from '../../../agent/link-security.ts'
import type { LinkSecurity } from '../../../agent/link-security.ts'
import { dialPeer, LINK_LIMITS, listenForPeers } from '../../../agent/peer-link.ts'
import type { PeerLink } from '../../../agent/peer-link.ts'
import { makeSwarmKey, readSwarmKeys } from '../../../agent/swarm-keys.ts'

const [OLD, NEW] = [makeSwarmKey(), makeSwarmKey()] as const
const DEADLINE_MS = 20_000

const opened: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

const eventually = (condition: () => void): Promise<void> => vi.waitFor(condition, { timeout: DEADLINE_MS, interval: 5 })
const securityOf = (keys: readonly string[], swarmName = 'default', handshakeMs = 10_000): LinkSecurity | undefined =>
  keys.length === 0 ? undefined : createLinkSecurity(readSwarmKeys(keys), swarmName, handshakeMs)

async function listen(security: LinkSecurity | undefined): Promise<{ port: number; links: PeerLink[] }> {
  const links: PeerLink[] = []
  const listener = await listenForPeers('127.0.0.1', 0, link => void links.push(link), LINK_LIMITS, security)
  opened.push(() => listener.close())
  return { port: listener.port, links }
}

async function dial(port: number, security: LinkSecurity | undefined): Promise<PeerLink | undefined> {
  const link = await dialPeer('127.0.0.1', port, LINK_LIMITS, security)
  if (link !== undefined) opened.push(() => link.close())
  return link
}

/** Says "hello" and waits for it to come back. */
async function isAnswered(port: number, links: readonly PeerLink[], security: LinkSecurity | undefined): Promise<boolean> {
  const link = await dial(port, security)
  if (link === undefined) return false
  const before = links.length
  await link.send(Buffer.from('hello'))
  const closed = link.receive()
  await Promise.race([closed, eventually(() => expect(links.length).toBeGreaterThan(before))])
  const taken = links[before]
  if (taken === undefined) return false
  await taken.send((await taken.receive())!)
  return Buffer.from((await closed) ?? []).toString() === 'hello'
}

/** Passes bytes on and keeps them. */
async function record(port: number): Promise<{ port: number; heard: Buffer[] }> {
  const heard: Buffer[] = []
  const sockets: Socket[] = []
  const server = createServer(near => {
    const far = connect({ host: '127.0.0.1', port })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from)
      from.on('data', chunk => void (heard.push(chunk), to.write(chunk)))
      from.on('error', () => {})
      from.on('close', () => to.destroy())
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  opened.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('a TCP server has an address')
  return { port: address.port, heard }
}

describe('P16 the peer link under a swarm key', () => {
  test('carries messages of any length, and nothing of them can be read on the way', async () => {
    const { port, links } = await listen(securityOf([OLD]))
    const recorder = await record(port)
    const link = (await dial(recorder.port, securityOf([OLD])))!
    const marker = Buffer.from('a secret that nobody on the way may read')
    const large = Buffer.concat([randomBytes(2 * 1024 * 1024 - marker.length), marker])
    await link.send(marker)
    await eventually(() => expect(links).toHaveLength(1))
    expect(Buffer.from((await links[0]!.receive())!)).toEqual(marker)
    await links[0]!.send(Buffer.from('and the other way'))
    expect(Buffer.from((await link.receive())!).toString()).toBe('and the other way')
    const sending = links[0]!.send(large)
    expect(Buffer.from((await link.receive())!).equals(large)).toBe(true)
    await sending
    const bytes = Buffer.concat(recorder.heard)
    expect(bytes.length).toBeGreaterThan(large.length)
    expect(bytes.includes(marker)).toBe(false)
    expect(bytes.includes('HSL1')).toBe(false)
  })

  test.each<[string, readonly string[], readonly string[], boolean]>([
    ['install: the other has the new key behind the old one', [OLD], [OLD, NEW], true],
    ['use: the other seals with the new one', [OLD, NEW], [NEW, OLD], true],
    ['remove: the other has the new one alone', [NEW, OLD], [NEW], true],
    ['out of order, but one key is shared', [OLD, NEW], [NEW], true],
    ['no key is shared', [OLD], [NEW], false],
    ['the listening side alone has a key', [], [OLD], false],
    ['the dialling side alone has a key', [OLD], [], false],
  ])('%s', async (_title, left, right, works) => {
    for (const [dialling, listening] of [
      [left, right],
      ...(left.length > 0 && right.length > 0 ? [[right, left] as const] : []),
    ] as const) {
      const { port, links } = await listen(securityOf(listening))
      expect(await isAnswered(port, links, securityOf(dialling))).toBe(works)
      expect(links).toHaveLength(works ? 1 : 0)
    }
  })

  test('swarms of different names share no link, though they share the key', async () => {
    const { port, links } = await listen(securityOf([OLD], 'north'))
    expect(await isAnswered(port, links, securityOf([OLD], 'south'))).toBe(false)
    expect(links).toEqual([])
  })

  test('who does not prove itself in time is cut off', async () => {
    const { port } = await listen(securityOf([OLD], 'default', 100))
    const socket = connect({ host: '127.0.0.1', port })
    opened.push(() => void socket.destroy())
    socket.on('error', () => {})
    await new Promise(resolve => socket.once('close', resolve))
    expect(socket.destroyed).toBe(true)
  })

  test('connections that have not proven themselves count against the limit of their host', async () => {
    const { port } = await listen(securityOf([OLD]))
    const isClosed: boolean[] = []
    for (let i = 0; i < LINK_LIMITS.inboundLinksPerHostMax + 1; i++) {
      const socket = connect({ host: '127.0.0.1', port })
      opened.push(() => void socket.destroy())
      socket.on('error', () => {})
      socket.on('close', () => (isClosed[i] = true))
      await new Promise(resolve => socket.once('connect', resolve))
    }
    await eventually(() => expect(isClosed[LINK_LIMITS.inboundLinksPerHostMax]).toBe(true))
    expect(isClosed.filter(Boolean)).toHaveLength(1)
  })

  test('a place is free again when a link has ended', async () => {
    const { port, links } = await listen(securityOf([OLD]))
    for (let i = 0; i < LINK_LIMITS.inboundLinksPerHostMax + 4; i++) {
      const link = (await dial(port, securityOf([OLD])))!
      await link.send(Buffer.from('hello'))
      await eventually(() => expect(links).toHaveLength(i + 1))
      links[i]!.close()
      link.close()
    }
    await eventually(() => expect(links).toHaveLength(LINK_LIMITS.inboundLinksPerHostMax + 4))
  })
})
