import { randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import * as fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createCodec } from '../../../agent/codec.ts'
import { createFrameReader } from '../../../agent/frame-reader.ts'
import { createPeerLink, dialPeer, LINK_LIMITS, listenForPeers } from '../../../agent/peer-link.ts'
import type { LinkLimits, PeerLink } from '../../../agent/peer-link.ts'
import { createChannel, SessionFault } from '../../../sync/channel.ts'

const PREAMBLE = Buffer.from('HSL1')
const PING = Buffer.alloc(5)
const KIB = 1024
const MIB = 1024 * KIB
/** Two cores may be busy with other suites. */
const DEADLINE_MS = 20_000

const opened: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

const eventually = (condition: () => void): Promise<void> => vi.waitFor(condition, { timeout: DEADLINE_MS, interval: 5 })

interface Taking {
  readonly port: number
  readonly links: readonly PeerLink[]
  /** The one that was taken as number `at`, from 0. */
  readonly link: (at: number) => Promise<PeerLink>
}

const taking = (port: number, links: readonly PeerLink[]): Taking => ({
  port,
  links,
  async link(at) {
    await eventually(() => expect(links.length).toBeGreaterThan(at))
    return links[at]!
  },
})

/** Takes every connection for a link, before anything is said on it. */
async function takeLinks(changed: Partial<LinkLimits> = {}): Promise<Taking> {
  const links: PeerLink[] = []
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    links.push(createPeerLink(socket, { ...LINK_LIMITS, ...changed }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  opened.push(async () => {
    const closed = new Promise(resolve => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('a TCP server has an address')
  return taking(address.port, links)
}

/** Takes links as the agent does. */
async function listen(changed: Partial<LinkLimits> = {}): Promise<Taking> {
  const links: PeerLink[] = []
  const listener = await listenForPeers('127.0.0.1', 0, link => void links.push(link), { ...LINK_LIMITS, ...changed })
  opened.push(() => listener.close())
  return taking(listener.port, links)
}

/** Two links that are joined. */
async function joinedPair(changed: Partial<LinkLimits> = {}): Promise<[PeerLink, PeerLink]> {
  const { port, link } = await takeLinks(changed)
  const dialled = await dialPeer('127.0.0.1', port, { ...LINK_LIMITS, ...changed })
  if (dialled === undefined) throw new Error('the listener is there')
  opened.push(() => dialled.close())
  return [dialled, await link(0)]
}

interface RawPeer {
  readonly socket: Socket
  /** Bytes that came in, all of them. */
  received(): Buffer
  isClosed(): boolean
}

/** A peer that says what the test says, and nothing else. */
async function connectRaw(port: number, localAddress = '127.0.0.1'): Promise<RawPeer> {
  const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true })
  opened.push(() => void socket.destroy())
  const chunks: Buffer[] = []
  let isClosed = false
  socket.on('data', chunk => chunks.push(chunk))
  socket.on('close', () => (isClosed = true))
  // A reset is one of the ways in which a link is closed.
  socket.on('error', () => {})
  await new Promise(resolve => socket.once('connect', resolve))
  return { socket, received: () => Buffer.concat(chunks), isClosed: () => isClosed }
}

function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 0)
  return Buffer.concat([head, message])
}

/** The head of a message that claims `length` bytes. */
function claim(length: number): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(length, 0)
  return head
}

async function receiveAll(link: PeerLink): Promise<Uint8Array[]> {
  const messages: Uint8Array[] = []
  for (let message = await link.receive(); message !== undefined; message = await link.receive()) messages.push(message)
  return messages
}

/** Sends without end; `stuck` resolves when a send is held up, `done` when the last one has returned after `stop`. */
function sendWithoutEnd(link: PeerLink): { stuck: Promise<number>; stop(): void; done: Promise<void> } {
  const progress = { sent: 0, isStopped: false }
  // Nothing that could be packed.
  const message = randomBytes(MIB)
  const done = (async () => {
    for (; !progress.isStopped; progress.sent++) {
      await link.send(message)
      // On a closed link `send` returns at once: the rest of the process must have its turn all the same.
      await new Promise(resolve => void setImmediate(resolve))
    }
  })()
  return { stuck: untilStill(() => progress.sent), stop: () => void (progress.isStopped = true), done }
}

/** Resolves when two looks, a third of a second apart, see the same. */
async function untilStill(look: () => number): Promise<number> {
  let seen = -1
  await vi.waitFor(
    () => {
      const before = seen
      seen = look()
      expect(seen).toBe(before)
    },
    { timeout: DEADLINE_MS, interval: 300 },
  )
  return seen
}

const isSame = (a: Uint8Array | undefined, b: Uint8Array): boolean => a !== undefined && Buffer.compare(a, b) === 0

describe('the frame reader', () => {
  const readAll = (chunks: readonly Uint8Array[]): Uint8Array[] => {
    const reader = createFrameReader()
    const messages: Uint8Array[] = []
    for (const chunk of chunks) {
      reader.push(Buffer.from(chunk), 0)
      for (let next = reader.next(2 * MIB); next !== undefined; next = reader.next(2 * MIB)) {
        if (typeof next === 'string' || 'wish' in next) throw new Error(JSON.stringify(next))
        messages.push(next.body)
      }
    }
    return messages
  }

  test('however the stream is cut into pieces, the same messages come out of it, and pings do not', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 })
    const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(messages, cuts, (sent, lengths) => {
        // An empty message is a ping.
        const stream = Buffer.concat([PREAMBLE, ...sent.map(frame)])
        const chunks: Buffer[] = []
        for (let at = 0, i = 0; at < stream.length; i++) chunks.push(stream.subarray(at, (at += lengths[i % lengths.length]!)))
        const got = readAll(chunks).map(message => Buffer.from(message))
        expect(got).toEqual(sent.filter(({ length }) => length > 0).map(message => Buffer.from(message)))
      }),
    )
  })

  test('a message of 1.5 MiB comes whole out of single bytes', () => {
    const message = randomBytes(1.5 * MIB)
    const stream = Buffer.concat([PREAMBLE, frame(message)])
    const [got] = readAll(Array.from({ length: stream.length }, (_, i) => stream.subarray(i, i + 1)))
    expect(isSame(got, message)).toBe(true)
  })

  test('P16 what the head of a message claims takes no memory until it comes', () => {
    const readers = Array.from({ length: 100 }, createFrameReader)
    const before = process.memoryUsage().arrayBuffers
    for (const reader of readers) {
      reader.push(Buffer.concat([PREAMBLE, claim(2 * MIB), Buffer.from([0x80])]), 0)
      expect(reader.next(2 * MIB)).toBeUndefined()
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * MIB)
  })
})

describe('messages', () => {
  test('messages of all lengths arrive unchanged and in order, in both directions at once', async () => {
    const pair = await joinedPair()
    const lengths = [1, 5, 4 * KIB, 4 * KIB + 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 1.5 * MIB, 2, 512 * KIB, 512 * KIB + 1, 8 * MIB, 3]
    const sent = pair.map(() => lengths.map(length => randomBytes(length)))
    await Promise.all(
      pair.flatMap((link, side) => [
        (async () => {
          for (const message of sent[side]!) await link.send(message)
        })(),
        (async () => {
          for (const message of sent[1 - side]!) expect(isSame(await link.receive(), message)).toBe(true)
        })(),
      ]),
    )
  })

  test('a message in single bytes arrives whole', async () => {
    const { port, link } = await takeLinks()
    const raw = await connectRaw(port)
    const message = randomBytes(2_000)
    for (const byte of Buffer.concat([PREAMBLE, PING, frame(message), PING])) raw.socket.write(Buffer.from([byte]))
    expect(isSame(await (await link(0)).receive(), message)).toBe(true)
  })

  test('a message that no peer would take is refused before it is sent', async () => {
    const [a] = await joinedPair()
    await expect(a.send(new Uint8Array(8 * MIB + 1))).rejects.toThrow('longer than a peer takes')
  })
})

describe('what is not a peer', () => {
  const strangers: Readonly<Record<string, Buffer>> = {
    'an HTTP request': Buffer.from('GET /api/cluster/status HTTP/1.1\r\nHost: robot\r\n\r\n'),
    'a TLS hello': Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc]),
    'another version': Buffer.from('HSL2'),
    'one wrong byte': Buffer.from('X'),
    zeros: Buffer.alloc(KIB),
    'random bytes behind a valid preamble': Buffer.concat([PREAMBLE, Buffer.from([0xff]), randomBytes(KIB)]),
    'reserved flags': Buffer.concat([PREAMBLE, Buffer.from([0, 0, 0, 1, 2, 0])]),
  }
  for (const [name, bytes] of Object.entries(strangers)) {
    test(`${name}: the link is closed and delivers nothing`, async () => {
      const { port, link } = await takeLinks()
      const raw = await connectRaw(port)
      raw.socket.write(bytes)
      const taken = await link(0)
      expect(await taken.receive()).toBeUndefined()
      expect(taken.fault).toMatch(/^(not-a-link|too-large)$/)
      await eventually(() => expect(raw.isClosed()).toBe(true))
    })
  }

  test('random bytes of every kind close the link and do no other harm', async () => {
    const { port, link } = await takeLinks()
    for (let i = 0; i < 50; i++) {
      const raw = await connectRaw(port)
      raw.socket.write(Buffer.concat([i % 2 === 0 ? PREAMBLE : Buffer.alloc(0), randomBytes(1 + i * 97)]))
      raw.socket.end()
      await receiveAll(await link(i))
    }
    const dialled = await dialPeer('127.0.0.1', port)
    await dialled!.send(Buffer.from('hello'))
    expect(await (await link(50)).receive()).toEqual(new Uint8Array(Buffer.from('hello')))
    dialled!.close()
  })

  test('deeply nested CBOR goes no further than the codec, at once', async () => {
    const { port, link } = await takeLinks()
    const raw = await connectRaw(port)
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from([0x80])), frame(Buffer.alloc(512 * KIB, 0x81))]))
    const taken = await link(0)
    await taken.receive()
    const startMs = performance.now()
    await expect(createChannel(taken, createCodec()).receive()).rejects.toThrow(SessionFault)
    expect(performance.now() - startMs).toBeLessThan(5_000)
  })
})

describe('lengths', () => {
  test('P16 before the first message is taken, one above 4 KiB is refused by its head alone', async () => {
    const { port, link } = await takeLinks()
    const raw = await connectRaw(port)
    raw.socket.write(Buffer.concat([PREAMBLE, claim(4 * KIB + 1)]))
    const taken = await link(0)
    expect(await taken.receive()).toBeUndefined()
    expect(taken.fault).toBe('too-large')
  })

  test.each([512 * KIB + 1, 0xffff_ffff])('P16 after the first message, a length of %i is refused by its head alone', async length => {
    const { port, link } = await takeLinks()
    const raw = await connectRaw(port)
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello')), claim(length)]))
    const taken = await link(0)
    expect(await taken.receive()).toHaveLength(5)
    expect(await taken.receive()).toBeUndefined()
    expect(taken.fault).toBe('too-large')
  })

  test('P16 until the first message is taken, no second one is looked at', async () => {
    const { port, link } = await takeLinks()
    const raw = await connectRaw(port)
    // Were it read at once, the second head would be too large for a stranger.
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello')), frame(Buffer.alloc(512 * KIB))]))
    const taken = await link(0)
    await eventually(() => expect(raw.received().length).toBeGreaterThanOrEqual(PREAMBLE.length))
    expect(await taken.receive()).toHaveLength(5)
    expect(await taken.receive()).toHaveLength(512 * KIB)
    expect(taken.fault).toBeUndefined()
  })

  test('P16 a peer that claims 512 KiB on each of many links takes no memory for it', async () => {
    const { port, link } = await takeLinks()
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 60; i++) {
      const raw = await connectRaw(port)
      raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))]))
      await (await link(i)).receive()
      raw.socket.write(Buffer.concat([claim(512 * KIB), Buffer.alloc(100)]))
    }
    const dialled = await dialPeer('127.0.0.1', port)
    await dialled!.send(Buffer.from('last'))
    await (await link(60)).receive()
    dialled!.close()
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * MIB)
  })
})

describe('time', () => {
  const fast = { pingMs: 50, silenceMs: 500 }

  test('P4 a half-open link is noticed by the silence of its peer', async () => {
    const { port, link } = await takeLinks(fast)
    const raw = await connectRaw(port)
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))]))
    const taken = await link(0)
    expect(await taken.receive()).toHaveLength(5)
    // It reads what comes and says nothing more, as TCP does for a process that is gone from behind a firewall.
    expect(await taken.receive()).toBeUndefined()
    expect(taken.fault).toBe('silent')
  })

  test('an idle link between two that ping stays open', async () => {
    const { port, link } = await takeLinks(fast)
    const raw = await connectRaw(port)
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))]))
    raw.socket.on('data', () => raw.socket.write(PING))
    const taken = await link(0)
    await taken.receive()
    // 20 pings take twice the time after which silence would have ended it.
    await eventually(() => expect(raw.received().length).toBeGreaterThanOrEqual(PREAMBLE.length + 20 * PING.length))
    raw.socket.write(frame(Buffer.from('still here')))
    expect(await taken.receive()).toHaveLength(10)
    expect(taken.fault).toBeUndefined()
  })

  test('P4 a peer that pings and never says anything more is let go', async () => {
    const { port, link } = await takeLinks({ ...fast, stallMs: 600 })
    const raw = await connectRaw(port)
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello')), claim(1_000)]))
    // One byte of a message at a time: never silent, never done.
    raw.socket.on('data', () => raw.socket.write(Buffer.from([1])))
    const taken = await link(0)
    expect(await taken.receive()).toHaveLength(5)
    expect(await taken.receive()).toBeUndefined()
    expect(taken.fault).toBe('stalled')
  })

  test('P4 a peer that neither reads nor stops talking does not hold a sender for ever', async () => {
    const { port, link } = await takeLinks({ ...fast, stallMs: 600 })
    const raw = await connectRaw(port)
    raw.socket.pause()
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))]))
    const timer = setInterval(() => raw.socket.write(PING), 50)
    opened.push(() => clearInterval(timer))
    const taken = await link(0)
    await taken.receive()
    const sender = sendWithoutEnd(taken)
    await sender.stuck
    sender.stop()
    await sender.done
    expect(taken.fault).toBe('stalled')
  })

  test('P4 time in which this process stood still is no silence of the peer', async () => {
    const { port, link } = await takeLinks(fast)
    const raw = await connectRaw(port)
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))]))
    raw.socket.on('data', () => raw.socket.write(PING))
    const taken = await link(0)
    await taken.receive()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * fast.silenceMs)
    const pings = (): number => raw.received().length
    const before = pings()
    await eventually(() => expect(pings()).toBeGreaterThan(before))
    expect(taken.fault).toBeUndefined()
  })

  test.each([
    ['nothing at all', Buffer.alloc(0), Buffer.alloc(0)],
    ['a preamble and pings', PREAMBLE, PING],
    ['its first message one byte at a time', Buffer.concat([PREAMBLE, claim(4 * KIB)]), Buffer.from([1])],
  ])('P16 a stranger that sends %s is let go', async (_name, first, then) => {
    const { port, link } = await takeLinks({ ...fast, silenceMs: 60_000, firstMessageMs: 400 })
    const raw = await connectRaw(port)
    raw.socket.write(first)
    if (then.length > 0) raw.socket.on('data', () => raw.socket.write(then))
    const taken = await link(0)
    expect(await taken.receive()).toBeUndefined()
    expect(taken.fault).toBe('slow-start')
    await eventually(() => expect(raw.isClosed()).toBe(true))
  })

  test('P16 a peer that says hello and no more is let go, one that goes on slowly is not', async () => {
    const { port, link } = await takeLinks({ ...fast, silenceMs: 60_000, secondMessageMs: 400 })
    const [silent, slow] = [await connectRaw(port), await connectRaw(port)]
    const hello = Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))])
    silent.socket.write(hello)
    silent.socket.on('data', () => silent.socket.write(PING))
    const first = await link(0)
    expect(await first.receive()).toHaveLength(5)
    slow.socket.write(Buffer.concat([hello, claim(10), Buffer.alloc(1)]))
    const second = await link(1)
    expect(await second.receive()).toHaveLength(5)
    expect(await first.receive()).toBeUndefined()
    expect(first.fault).toBe('slow-start')
    const goingOn = second.receive()
    await eventually(() => expect(slow.received().length).toBeGreaterThan(PREAMBLE.length + 10 * PING.length))
    slow.socket.write(Buffer.alloc(9))
    expect(await goingOn).toHaveLength(10)
  })
})

describe('bounds', () => {
  const hello = Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))])
  /** Dials until it is let in: a place is free when the listener has seen it, which the stranger cannot know. */
  const untilLetIn = (port: number): Promise<RawPeer> =>
    vi.waitFor(
      async () => {
        const raw = await connectRaw(port)
        await eventually(() => expect(raw.isClosed() || raw.received().length > 0).toBe(true))
        expect(raw.isClosed()).toBe(false)
        return raw
      },
      { timeout: DEADLINE_MS },
    )

  test('P16 a stranger is nobody until it has said something whole', async () => {
    const { port, links, link } = await listen()
    const raws = [await connectRaw(port), await connectRaw(port)] as const
    raws[0].socket.write(Buffer.concat([PREAMBLE, PING, claim(100), Buffer.alloc(99)]))
    raws[1].socket.write(hello)
    expect(await (await link(0)).receive()).toHaveLength(5)
    expect(links).toHaveLength(1)
    raws[0].socket.write(Buffer.alloc(1))
    expect(await (await link(1)).receive()).toHaveLength(100)
  })

  test('a link too many is closed at once, and there is room again when another has closed', async () => {
    const { port } = await listen({ inboundLinksMax: 3 })
    const raws = [await untilLetIn(port), await untilLetIn(port), await untilLetIn(port)]
    const fourth = await connectRaw(port)
    await eventually(() => expect(fourth.isClosed()).toBe(true))
    expect(fourth.received()).toHaveLength(0)
    raws[0]!.socket.destroy()
    await untilLetIn(port)
    for (const raw of raws.slice(1)) expect(raw.isClosed()).toBe(false)
  })

  test('P16 one host does not take all the links', async () => {
    const { port, link } = await listen({ inboundLinksPerHostMax: 2 })
    const greedy = [await untilLetIn(port), await untilLetIn(port), await connectRaw(port)] as const
    await eventually(() => expect(greedy[2].isClosed()).toBe(true))
    const other = await connectRaw(port, '127.0.0.2')
    other.socket.write(hello)
    expect(await (await link(0)).receive()).toHaveLength(5)
  })

  test('a link that was closed here frees its place soon, though the peer keeps talking and holds it open', async () => {
    const { port, link } = await listen({ inboundLinksMax: 1, lingerMs: 200 })
    const raw = await connectRaw(port)
    raw.socket.allowHalfOpen = true
    raw.socket.write(hello)
    const timer = setInterval(() => raw.socket.write(PING), 20)
    opened.push(() => clearInterval(timer))
    const taken = await link(0)
    taken.close()
    await eventually(() => expect(raw.isClosed()).toBe(true))
    await untilLetIn(port)
    expect(taken.fault).toBeUndefined()
  })

  test('a link that is closed as soon as it is handed out is gone at once', async () => {
    const listener = await listenForPeers('127.0.0.1', 0, link => link.close(), { ...LINK_LIMITS, inboundLinksMax: 1 })
    opened.push(() => listener.close())
    for (let i = 0; i < 5; i++) {
      const raw = await untilLetIn(listener.port)
      raw.socket.write(Buffer.concat([hello, frame(Buffer.alloc(1_000)), frame(Buffer.alloc(1_000))]))
      // Long before the linger time.
      await vi.waitFor(() => expect(raw.isClosed()).toBe(true), { timeout: LINK_LIMITS.lingerMs / 2 })
    }
  })

  test('P8 a receiver that takes nothing bounds its sender, and all arrives when it takes again', async () => {
    const [sender, receiver] = await joinedPair()
    const count = 1_024
    const message = randomBytes(64 * KIB)
    let sent = 0
    await sender.send(Buffer.from('hello'))
    await receiver.receive()
    const sending = (async () => {
      for (let i = 0; i < count; i++) {
        message.writeUInt32BE(i, 0)
        await sender.send(Uint8Array.from(message))
        sent += 1
      }
    })()
    await untilStill(() => sent)
    // 4 MiB wait in the link; the rest is what the kernel's buffers take, which may grow to 36 MiB.
    expect(sent * message.length).toBeLessThan(48 * MIB)
    for (let i = 0; i < count; i++) expect(Buffer.from((await receiver.receive())!).readUInt32BE(0)).toBe(i)
    await sending
  })

  test('P16 very small messages that nobody takes stop the sender too', async () => {
    const { port, link } = await takeLinks()
    const raw = await connectRaw(port)
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))]))
    await (await link(0)).receive()
    const total = 24 * MIB
    const small = Buffer.alloc(6 * 128 * KIB)
    for (let at = 0; at < small.length; at += 6) small.writeUInt32BE(1, at)
    for (let at = 0; at < total; at += small.length) raw.socket.write(small)
    expect(await untilStill(() => raw.socket.writableLength)).toBeGreaterThan(total / 4)
  })
})

describe('closing', () => {
  test('what was sent before the link was closed arrives, though the peer was talking as well', async () => {
    const [a, b] = await joinedPair()
    await b.send(Buffer.from('nobody takes this'))
    const sent = [Buffer.from('hello'), ...Array.from({ length: 8 }, () => randomBytes(MIB))]
    const received = receiveAll(b)
    for (const message of sent) await a.send(message)
    a.close()
    const got = await received
    expect(got).toHaveLength(sent.length)
    for (const [i, message] of sent.entries()) expect(isSame(got[i], message)).toBe(true)
    expect(b.fault).toBeUndefined()
  })

  test('closing wakes whoever waits to send or to receive, on both sides', async () => {
    const [a, b] = await joinedPair()
    await a.send(Buffer.from('hello'))
    await b.receive()
    const waiting = a.receive()
    const sender = sendWithoutEnd(a)
    await sender.stuck
    sender.stop()
    a.close()
    await sender.done
    expect(await waiting).toBeUndefined()
    await receiveAll(b)
    expect(await a.receive()).toBeUndefined()
    await a.send(Buffer.from('nobody hears this'))
  })

  test('a send that is held up ends when the peer closes', async () => {
    const { port, link } = await takeLinks()
    const raw = await connectRaw(port)
    raw.socket.pause()
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))]))
    const taken = await link(0)
    await taken.receive()
    const sender = sendWithoutEnd(taken)
    await sender.stuck
    sender.stop()
    raw.socket.destroy()
    await sender.done
    expect(await taken.receive()).toBeUndefined()
  })

  test('a connection that is reset in the middle of a message ends the link, not the process', async () => {
    const { port, link } = await takeLinks()
    const raw = await connectRaw(port)
    raw.socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello')), claim(512 * KIB), Buffer.alloc(1_000)]))
    const taken = await link(0)
    await taken.receive()
    raw.socket.resetAndDestroy()
    expect(await taken.receive()).toBeUndefined()
    expect(taken.fault).toBeUndefined()
  })
})

describe('ports', () => {
  test('a port that is taken is refused with a sentence', async () => {
    const { port } = await listen()
    await expect(listenForPeers('127.0.0.1', port, () => {})).rejects.toMatchObject({
      code: 'HS_BIND_FAILED',
      detail: expect.stringContaining('the port is taken by another process'),
    })
  })

  test('an address that this machine does not have is refused with a sentence', async () => {
    await expect(listenForPeers('203.0.113.1', 0, () => {})).rejects.toMatchObject({
      code: 'HS_BIND_FAILED',
      detail: expect.stringContaining('no such address'),
    })
  })

  test('a peer that is not there cannot be dialled', async () => {
    const { port } = await listen()
    for (const close of opened.splice(0)) await close()
    expect(await dialPeer('127.0.0.1', port)).toBeUndefined()
  })
})
