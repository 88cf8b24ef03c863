import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { constants, createZstdCompress, zstdCompressSync } from 'node:zlib'
import * as fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createMessageReader } from '../../../agent/message-reader.ts'
import type { MessageReader, NextMessage } from '../../../agent/message-reader.ts'
import {
  createPackingPolicy,
  createWishPolicy,
  FRAME_BYTES_MAX,
  packBody,
  rawLengthOf,
  unpackBody,
} from '../../../agent/link-compression.ts'
import type { Wish } from '../../../agent/link-compression.ts'
import { createLinkTraffic, createPeerLink, dialPeer, LINK_LIMITS } from '../../../agent/peer-link.ts'
import type { LinkLimits, LinkTraffic, PeerLink } from '../../../agent/peer-link.ts'

const KIB = 1024
const MIB = 1024 * KIB
const PREAMBLE = Buffer.from('HSL1')
const DEADLINE_MS = 20_000

const opened: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})
const eventually = (condition: () => void): Promise<void> => vi.waitFor(condition, { timeout: DEADLINE_MS, interval: 5 })

/** Records as robots write them. */
const telemetry = (count: number): Buffer =>
  Buffer.from(
    Array.from({ length: count }, (_, i) =>
      JSON.stringify({ seq: i, temperature: 20 + Math.sin(i) * 5, state: 'driving', battery: 0.87 }),
    ).join(''),
  )

function frame(body: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length, 0)
  head[4] = flags
  return Buffer.concat([head, body])
}

/** A packed body that claims to hold `rawBytes`. */
function claimed(rawBytes: number, packed: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(rawBytes)
  return Buffer.concat([length, packed])
}

const createReader = (tell: (wish: Wish) => void = () => {}, onWish: (wish: Wish) => void = () => {}): MessageReader =>
  createMessageReader({ firstMessageBytesMax: 4 * KIB, messageBytesMax: 8 * MIB, tell, onWish })

/** Everything that comes out of these bytes behind a first message, up to the first fault. */
async function readAll(chunks: readonly Uint8Array[]): Promise<(Uint8Array | string)[]> {
  const reader = createReader()
  reader.push(Buffer.concat([PREAMBLE, frame(Buffer.from('hello'))]), 0)
  expect(await reader.next(true)).toHaveLength(5)
  const got: (Uint8Array | string)[] = []
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk), 0)
    for (;;) {
      const next: NextMessage = await reader.next(false)
      if (next === undefined) break
      got.push(next)
      if (typeof next === 'string') return got
    }
  }
  return got
}

describe('packed frames', () => {
  test('hold the same again, whatever it is and however the stream is cut', async () => {
    const messages = fc.array(
      fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 2_000 }),
        fc.integer({ min: 1, max: 3_000 }).map(count => new Uint8Array(telemetry(count))),
      ),
      { minLength: 1, maxLength: 6 },
    )
    const cuts = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(messages, cuts, async (sent, lengths) => {
        const frames = await Promise.all(sent.map(async (message, i) => (i % 3 === 2 ? frame(message) : frame(await packBody(message), 1))))
        const stream = Buffer.concat(frames)
        const chunks: Buffer[] = []
        for (let at = 0, i = 0; at < stream.length; i++) chunks.push(stream.subarray(at, (at += lengths[i % lengths.length]!)))
        const got = await readAll(chunks)
        expect(got.map(message => Buffer.from(message as Uint8Array).toString('hex'))).toEqual(
          sent.map(message => Buffer.from(message).toString('hex')),
        )
      }),
      { numRuns: 30 },
    )
  })

  test('P16 any bytes behind any flags give messages or a fault, and never an exception', async () => {
    const pieces = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 300 }), fc.boolean(), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
      { minLength: 1, maxLength: 12 },
    )
    await fc.assert(
      fc.asyncProperty(pieces, async parts => {
        const stream = parts.map(([flags, bytes, isZstd, raw]) => {
          const body = isZstd ? claimed(raw % 2 === 0 ? bytes.length : raw, zstdCompressSync(bytes)) : Buffer.from(bytes)
          return frame(body, flags % 3 === 0 ? flags : flags % 16)
        })
        const faults = (await readAll([Buffer.concat(stream)])).filter(result => typeof result === 'string')
        for (const fault of faults) expect(fault).toMatch(/^(?:not-a-link|too-large|badly-packed)$/)
      }),
      { numRuns: 300 },
    )
  })

  test('P16 one changed byte gives what was sent, or a fault, or other bytes of the same length, and never an exception', async () => {
    const raw = telemetry(400)
    const body = await packBody(raw)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: body.length - 1 }), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const damaged = Uint8Array.from(body)
        damaged[at]! ^= change
        const [got] = await readAll([frame(damaged, 1)])
        expect(got === 'badly-packed' || got?.length === raw.length).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  test('P16 a bomb is refused by what it claims, or stopped at that: 64 MiB of zeros take no memory', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * MIB))
    expect(bomb.length).toBeLessThan(16 * KIB)
    expect(rawLengthOf(claimed(64 * MIB, bomb))).toBeUndefined()
    expect(await readAll([frame(claimed(64 * MIB, bomb), 1)])).toEqual(['badly-packed'])
    const before = process.memoryUsage().rss
    for (let i = 0; i < 50; i++) expect(await readAll([frame(claimed(FRAME_BYTES_MAX, bomb), 1)])).toEqual(['badly-packed'])
    // Each alone would be 64 MiB if it were unpacked.
    expect(process.memoryUsage().rss - before).toBeLessThan(60 * MIB)
  })

  test('P16 a frame that wants a window of 128 MiB is refused, though it holds little', async () => {
    const packed = await new Promise<Buffer>((resolve, reject) => {
      // Streamed, so that the window is as it was asked for and not as the content is.
      const stream = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27 } })
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => resolve(Buffer.concat(chunks)))
      stream.on('error', reject)
      stream.write(Buffer.alloc(100 * KIB, 'x'))
      stream.flush(() => stream.end(Buffer.alloc(100 * KIB, 'y')))
    })
    expect(await unpackBody(claimed(200 * KIB, packed), 200 * KIB)).toBeUndefined()
  })

  test('what is cut off, or holds less than it claims, or more, is refused', async () => {
    const raw = telemetry(50)
    const packed = zstdCompressSync(raw)
    for (const body of [
      claimed(raw.length, packed.subarray(0, packed.length - 4)),
      claimed(raw.length + 1, packed),
      claimed(raw.length - 1, packed),
      claimed(0, packed),
      claimed(raw.length, Buffer.alloc(0)),
      Buffer.from([1]),
    ]) {
      expect(await readAll([frame(body, 1)])).toEqual(['badly-packed'])
    }
  })
})

describe('messages of many frames', () => {
  test('arrive whole, each frame but the last one full', async () => {
    const message = randomBytes(FRAME_BYTES_MAX + 7)
    const got = await readAll([frame(message.subarray(0, FRAME_BYTES_MAX), 2), frame(message.subarray(FRAME_BYTES_MAX))])
    expect(got).toHaveLength(1)
    expect(Buffer.compare(Buffer.from(got[0] as Uint8Array), message)).toBe(0)
  })

  test('P16 of small frames, or longer than 8 MiB, are refused', async () => {
    expect(await readAll([frame(Buffer.alloc(1), 2)])).toEqual(['not-a-link'])
    const full = frame(await packBody(Buffer.alloc(FRAME_BYTES_MAX)), 3)
    expect(await readAll(Array.from({ length: 17 }, () => full))).toEqual(['too-large'])
  })
})

describe('P16 before the first message is taken', () => {
  test.each([
    ['a packed frame', frame(claimed(5, zstdCompressSync(Buffer.from('hello'))), 1)],
    ['a frame that goes on', frame(Buffer.from('hello'), 2)],
    ['a wish', frame(Buffer.alloc(0), 4)],
  ])('%s is refused', async (_name, bytes) => {
    const reader = createReader()
    reader.push(Buffer.concat([PREAMBLE, bytes]), 0)
    expect(await reader.next(true)).toBe('not-a-link')
  })
})

describe('which frames are packed', () => {
  test('none that are small, and data that do not shrink are tried ever more seldom', () => {
    const policy = createPackingPolicy(256)
    expect(policy.shouldTry(255)).toBe(false)
    let tries = 0
    for (let i = 0; i < 1_000; i++) {
      if (!policy.shouldTry(100_000)) continue
      tries += 1
      expect(policy.judge(100_000, 99_000)).toBe(false)
    }
    expect(tries).toBeLessThan(25)
  })

  test('as soon as data shrink again, each is tried', () => {
    const policy = createPackingPolicy(256)
    for (let i = 0; i < 500; i++) if (policy.shouldTry(1_000)) policy.judge(1_000, 1_000)
    let waited = 0
    while (!policy.shouldTry(1_000)) waited += 1
    expect(waited).toBeLessThanOrEqual(64)
    expect(policy.judge(1_000, 300)).toBe(true)
    expect(policy.shouldTry(1_000)).toBe(true)
  })

  test('on a link that is faster than packing plain ones are asked for, and packed ones when it has become slow', () => {
    const policy = createWishPolicy()
    const fast = { wireBytes: 50_000, rawBytes: 250_000, arrivalMs: 0.2, unpackMs: 2 }
    const wishes = Array.from({ length: 8 }, () => policy.observe(fast))
    expect(wishes).toEqual([...Array.from({ length: 7 }), 'plain'])
    // What was on its way changes nothing.
    for (let i = 0; i < 8; i++) expect(policy.observe({ ...fast, arrivalMs: 400 })).toBeUndefined()
    const plain = { wireBytes: 250_000, rawBytes: 250_000, arrivalMs: 0.5, unpackMs: 0 }
    for (let i = 0; i < 20; i++) expect(policy.observe(plain)).toBeUndefined()
    const slowed = Array.from({ length: 16 }, () => policy.observe({ ...plain, arrivalMs: 2_000 }))
    expect(slowed.filter(wish => wish !== undefined)).toEqual(['packed'])
  })

  test('on a slow link packed ones stay as they are, and small ones say nothing', () => {
    const policy = createWishPolicy()
    for (let i = 0; i < 50; i++) {
      expect(policy.observe({ wireBytes: 50_000, rawBytes: 250_000, arrivalMs: 400, unpackMs: 5 })).toBeUndefined()
      expect(policy.observe({ wireBytes: 100, rawBytes: 1_000, arrivalMs: 0, unpackMs: 5 })).toBeUndefined()
    }
  })
})

describe('links over sockets', () => {
  interface Ends {
    readonly dialled: PeerLink
    readonly taken: PeerLink
    readonly traffic: LinkTraffic
  }

  async function joined(changed: Partial<LinkLimits> = {}): Promise<Ends> {
    const limits = { ...LINK_LIMITS, ...changed }
    const links: PeerLink[] = []
    const sockets: Socket[] = []
    const server = createServer(socket => {
      sockets.push(socket)
      links.push(createPeerLink(socket, limits))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    opened.push(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const { port } = server.address() as { port: number }
    const traffic = createLinkTraffic()
    const dialled = (await dialPeer('127.0.0.1', port, limits, undefined, undefined, traffic))!
    opened.push(() => dialled.close())
    await eventually(() => expect(links).toHaveLength(1))
    await dialled.send(Buffer.from('hello'))
    expect(await links[0]!.receive()).toHaveLength(5)
    return { dialled, taken: links[0]!, traffic }
  }

  test('messages of all sizes, packed and not, arrive in the order in which they were given', async () => {
    const { dialled, taken, traffic } = await joined()
    const messages = Array.from({ length: 60 }, (_, i) =>
      i % 3 === 0 ? telemetry(1 + i * 40) : i % 3 === 1 ? Buffer.from([i]) : randomBytes(i * 900),
    )
    const sending = Promise.all(messages.map(message => dialled.send(message)))
    for (const message of messages) expect(Buffer.compare(Buffer.from((await taken.receive())!), message)).toBe(0)
    await sending
    expect(traffic.sentFrameBytes).toBeLessThan(traffic.sentMessageBytes)
  })

  test('HS_SYNC_COMPRESSION=off packs nothing', async () => {
    const { dialled, taken, traffic } = await joined({ packBytesMin: Number.POSITIVE_INFINITY })
    await dialled.send(telemetry(1_000))
    await taken.receive()
    expect(traffic.sentFrameBytes).toBeGreaterThan(traffic.sentMessageBytes)
  })

  test('P4 a slow cap does not make the other side take the link for dead, and pings come between messages', async () => {
    // 160 kbit/s: 100 KB take five seconds, ten times as long as the silence that ends a link.
    const { dialled, taken } = await joined({ sendKbpsMax: 160, pingMs: 100, silenceMs: 500 })
    const large = randomBytes(100_000)
    const startMs = performance.now()
    const sending = dialled.send(large)
    const answering = taken.send(Buffer.from('small'))
    expect(await dialled.receive()).toHaveLength(5)
    expect(Buffer.compare(Buffer.from((await taken.receive())!), large)).toBe(0)
    expect(performance.now() - startMs).toBeGreaterThan(4_000)
    await Promise.all([sending, answering])
    expect([dialled.fault, taken.fault]).toEqual([undefined, undefined])
  })

  test('what was given to a link with a cap before it was closed still goes out', async () => {
    const { dialled, taken } = await joined({ sendKbpsMax: 800 })
    const message = randomBytes(60_000)
    const sending = dialled.send(message)
    dialled.close()
    await sending
    expect(Buffer.compare(Buffer.from((await taken.receive())!), message)).toBe(0)
    expect(await taken.receive()).toBeUndefined()
  })

  test('a link on which no messages are awaited is not stalled when it only pings', async () => {
    const { dialled, taken } = await joined({ pingMs: 40, silenceMs: 2_000, stallMs: 300 })
    dialled.mayIdleWhile(() => true)
    taken.mayIdleWhile(() => true)
    const startMs = performance.now()
    await eventually(() => expect(performance.now() - startMs).toBeGreaterThan(1_200))
    await dialled.send(Buffer.from('still here'))
    expect(await taken.receive()).toHaveLength(10)
  })

  test('P16 a bomb over a socket closes the link with its reason', async () => {
    const links: PeerLink[] = []
    const server = createServer(socket => void links.push(createPeerLink(socket, LINK_LIMITS)))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    opened.push(() => void server.close())
    const socket = connect((server.address() as { port: number }).port, '127.0.0.1')
    opened.push(() => void socket.destroy())
    socket.on('error', () => {})
    const bomb = claimed(FRAME_BYTES_MAX, zstdCompressSync(Buffer.alloc(64 * MIB)))
    socket.write(Buffer.concat([PREAMBLE, frame(Buffer.from('hello')), frame(bomb, 1)]))
    await eventually(() => expect(links).toHaveLength(1))
    expect(await links[0]!.receive()).toHaveLength(5)
    expect(await links[0]!.receive()).toBeUndefined()
    expect(links[0]!.fault).toBe('badly-packed')
  })
})
