/** The baseline of the sync bench: records over a TCP connection of loopback, written by the receiver in synced LevelDB batches. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { MadeRecord } from './made-records.ts'
import { GROUP_RECORDS, type RawLevel } from './raw-level.ts'

const headerBytes = 6
const sendBytesMax = 256 * 1024

/** Bytes that these records are on the wire. */
export const frameBytes = (records: readonly MadeRecord[]): number =>
  records.reduce((sum, { key, payload }) => sum + headerBytes + key.length + payload.length, 0)

/** Frames of about 256 KiB: key length (2), payload length (4), key, payload. */
function encodeFrames(records: readonly MadeRecord[]): Buffer[] {
  const frames: Buffer[] = []
  let parts: Uint8Array[] = []
  let length = 0
  for (const { key, payload } of records) {
    const header = Buffer.alloc(headerBytes)
    header.writeUInt16BE(key.length)
    header.writeUInt32BE(payload.length, 2)
    parts.push(header, Buffer.from(key), payload)
    length += headerBytes + key.length + payload.length
    if (length < sendBytesMax) continue
    frames.push(Buffer.concat(parts))
    parts = []
    length = 0
  }
  return [...frames, Buffer.concat(parts)]
}

/** Resolves when all records are durable at the receiver. */
export async function transfer(records: readonly MadeRecord[], level: RawLevel): Promise<void> {
  const frames = encodeFrames(records)
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  const sender = connect(address.port, '127.0.0.1')
  const [receiver] = (await once(server, 'connection')) as [Socket]
  const received = receive(receiver, level)
  for (const frame of frames) if (!sender.write(frame)) await once(sender, 'drain')
  sender.end()
  const count = await received
  server.close()
  if (count !== records.length) throw new Error(`${count} of ${records.length} records arrived`)
}

async function receive(socket: Socket, level: RawLevel): Promise<number> {
  let rest: Buffer = Buffer.alloc(0)
  let group: MadeRecord[] = []
  let count = 0
  let writing: Promise<void> = Promise.resolve()
  const write = async (): Promise<void> => {
    const full = group
    group = []
    count += full.length
    // One group is on its way to the disk while the next one arrives.
    await writing
    writing = level.writeGroup(full)
  }
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (rest.length - at >= headerBytes) {
      const keyAt = at + headerBytes
      const payloadAt = keyAt + rest.readUInt16BE(at)
      const end = payloadAt + rest.readUInt32BE(at + 2)
      if (end > rest.length) break
      group.push({ key: rest.toString('latin1', keyAt, payloadAt), payload: rest.subarray(payloadAt, end) })
      at = end
      if (group.length === GROUP_RECORDS) await write()
    }
    rest = rest.subarray(at)
  }
  await write()
  await writing
  return count
}
