/** A port is asked what listens there; real sockets on loopback. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { askLink } from '../../../agent/link-inquiry.ts'
import { createLinkSecurity } from '../../../agent/link-security.ts'
import { dialPeer, LINK_LIMITS, listenForPeers } from '../../../agent/peer-link.ts'
import { makeSwarmKey, readSwarmKeys } from '../../../agent/swarm-keys.ts'

/** The word of an agent without a key comes at once; nobody else's is waited for long here. */
const TIMES = { connectMs: 2_000, firstWordMs: 200, handshakeMs: 1_000 }
const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(closers.splice(0).map(close => close()))
})

async function listen(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = []
  const server: Server = createServer(socket => {
    sockets.push(socket.on('error', () => {}))
    onConnection(socket)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise(resolve => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

it('an agent without a key is told by its first word, one with a key by the ids that its handshake names; neither is left with a link', async () => {
  const links: unknown[] = []
  const plain = await listenForPeers('127.0.0.1', 0, link => links.push(link))
  closers.push(() => plain.close())
  expect(await askLink('127.0.0.1', plain.port, TIMES)).toEqual({ kind: 'plain' })

  const keys = readSwarmKeys([makeSwarmKey(), makeSwarmKey()])
  const sealed = await listenForPeers('127.0.0.1', 0, link => links.push(link), LINK_LIMITS, createLinkSecurity(keys, 'yard', 1_000))
  closers.push(() => sealed.close())
  expect(await askLink('127.0.0.1', sealed.port, TIMES)).toEqual({ kind: 'sealed', keyIds: keys.map(({ id }) => id) })
  expect(links).toEqual([])
})

it.each<[string, (socket: Socket) => void, string]>([
  ['that greets in its own way', socket => socket.write('SSH-2.0-x\r\n'), 'other'],
  ['that closes at once', socket => socket.destroy(), 'other'],
  ['that answers what it does not understand', socket => socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')), 'other'],
  ['that stands still', () => {}, 'silent'],
])('a program %s is no agent', async (_what, behave, kind) => {
  expect(await askLink('127.0.0.1', await listen(behave), TIMES)).toEqual({ kind })
})

it('a port on which nobody listens is refused, as the one who dials a peer is told too, once', async () => {
  const port = await listen(() => {})
  await Promise.all(closers.splice(0).map(close => close()))
  expect(await askLink('127.0.0.1', port, TIMES)).toEqual({ kind: 'failed', code: 'ECONNREFUSED' })
  const outcomes: string[] = []
  expect(await dialPeer('127.0.0.1', port, LINK_LIMITS, undefined, outcome => outcomes.push(outcome))).toBeUndefined()
  expect(outcomes).toEqual(['ECONNREFUSED'])
})

it('P16 a link that opens, or fails for its key, says so to the one who dials', async () => {
  const keys = readSwarmKeys([makeSwarmKey(), makeSwarmKey()])
  const security = (at: number): ReturnType<typeof createLinkSecurity> => createLinkSecurity([keys[at]!], 'yard', 1_000)
  const listener = await listenForPeers('127.0.0.1', 0, () => {}, LINK_LIMITS, security(0))
  closers.push(() => listener.close())
  const outcomes: string[] = []
  for (const at of [1, 0]) {
    const link = await dialPeer('127.0.0.1', listener.port, LINK_LIMITS, security(at), outcome => outcomes.push(outcome))
    link?.close()
  }
  expect(outcomes).toEqual(['HANDSHAKE', 'open'])
})
