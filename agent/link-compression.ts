/**
 * zstd on the peer link, frame by frame: no state outlives a frame, so nothing has to be kept, agreed on or bounded between them.
 *
 *   packed body   raw length 4 (big-endian), then one zstd frame (RFC 8878) of a window of at most 512 KiB
 *
 * Where it pays: frames of some size, of which at least an eighth is saved. Data that do not shrink are tried ever more seldom. Whether
 * the link is slow enough is seen where frames arrive: the sender's own buffers hide it. The receiver asks for plain frames when
 * unpacking takes longer than the bytes that were saved would have, and for packed ones when plain ones arrive slowly.
 */
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib'

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** The largest body of one frame, packed or not: what unpacking may give at most. */
export const FRAME_BYTES_MAX = 512 * 1024
const RAW_LENGTH_BYTES = 4
/** Frames below are packed at once: a thread costs more than they do. */
const SYNC_BYTES_MAX = 16 * 1024
/** Packed frames that save less than an eighth go plain. */
const SAVED_SHARE_MIN = 1 / 8
/** The longest that data which do not shrink are not tried again, in frames. */
const PAUSE_FRAMES_MAX = 64

const PACKING = { params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_windowLog]: 19 } } as const
/** A zstd frame says itself how large a window it takes: larger ones are refused before that is allocated. */
const unpacking = (rawBytes: number) => ({ maxOutputLength: rawBytes, params: { [constants.ZSTD_d_windowLogMax]: 19 } })

/** The packed body. */
export async function packBody(raw: Uint8Array): Promise<Uint8Array> {
  const packed = raw.length <= SYNC_BYTES_MAX ? zstdCompressSync(raw, PACKING) : await compress(raw, PACKING)
  const body = new Uint8Array(RAW_LENGTH_BYTES + packed.length)
  new DataView(body.buffer).setUint32(0, raw.length)
  body.set(packed, RAW_LENGTH_BYTES)
  return body
}

/** What a packed body says that it holds; undefined when that is nothing or more than a frame may. Nothing is unpacked for it. */
export function rawLengthOf(body: Uint8Array): number | undefined {
  if (body.length <= RAW_LENGTH_BYTES) return undefined
  const length = new DataView(body.buffer, body.byteOffset).getUint32(0)
  return length >= 1 && length <= FRAME_BYTES_MAX ? length : undefined
}

/** The bytes of a packed body, at once where it is small; undefined when it does not hold exactly what it says. Never rejects. */
export function unpackBody(body: Uint8Array, rawBytes: number): Uint8Array | undefined | Promise<Uint8Array | undefined> {
  const packed = body.subarray(RAW_LENGTH_BYTES)
  const judge = (raw: Uint8Array): Uint8Array | undefined => (raw.length === rawBytes ? raw : undefined)
  if (rawBytes > SYNC_BYTES_MAX || packed.length > SYNC_BYTES_MAX) {
    return decompress(packed, unpacking(rawBytes)).then(judge, () => undefined)
  }
  try {
    return judge(zstdDecompressSync(packed, unpacking(rawBytes)))
  } catch {
    return undefined
  }
}

/** The sending side: which frames to pack. */
export interface PackingPolicy {
  /** Whether to try. Counts the frame. */
  shouldTry(rawBytes: number): boolean
  /** What came of it: whether the packed one is to be sent. */
  judge(rawBytes: number, packedBytes: number): boolean
}

export function createPackingPolicy(bytesMin: number): PackingPolicy {
  let pauseFrames = 0
  let framesLeft = 0
  return {
    shouldTry(rawBytes) {
      if (rawBytes < bytesMin) return false
      if (framesLeft === 0) return true
      framesLeft -= 1
      return false
    },
    judge(rawBytes, packedBytes) {
      const pays = packedBytes <= rawBytes * (1 - SAVED_SHARE_MIN)
      pauseFrames = pays ? 0 : Math.min(PAUSE_FRAMES_MAX, Math.max(1, pauseFrames * 2))
      framesLeft = pauseFrames
      return pays
    },
  }
}

/** How the frames of a peer should come. */
export type Wish = 'plain' | 'packed'

/** One frame, as it arrived. */
export interface Arrival {
  readonly wireBytes: number
  readonly rawBytes: number
  /** From its first byte to its last. */
  readonly arrivalMs: number
  /** 0 for a plain one. */
  readonly unpackMs: number
}

/** The receiving side: how frames should come. */
export interface WishPolicy {
  /** What to ask of the peer from now on; undefined when nothing has changed. */
  observe(arrival: Arrival): Wish | undefined
}

/** Frames below say little about the link. */
const OBSERVED_BYTES_MIN = 16 * 1024
/** Frames that are judged together. */
const OBSERVED_FRAMES = 8
/** Packing takes about one and a half times as long as unpacking. */
const COST_PER_UNPACKING = 2.5
/** Plain frames that come slower than this are asked for packed: 20 MB/s. Packing is much faster on any board. */
const PLAIN_BYTES_PER_MS_MIN = 20_000

export function createWishPolicy(): WishPolicy {
  let wish: Wish = 'packed'
  let frames = 0
  let savedMs = 0
  let costMs = 0
  let plainBytes = 0
  let plainMs = 0
  const forget = (): void => {
    frames = savedMs = costMs = plainBytes = plainMs = 0
  }
  return {
    observe({ wireBytes, rawBytes, arrivalMs, unpackMs }) {
      const isPacked = wireBytes < rawBytes
      // What was sent before the peer heard of a wish says nothing about it.
      if (rawBytes < OBSERVED_BYTES_MIN || isPacked !== (wish === 'packed')) return undefined
      frames += 1
      if (isPacked) {
        savedMs += arrivalMs * (rawBytes / wireBytes - 1)
        costMs += unpackMs * COST_PER_UNPACKING
      } else {
        plainBytes += rawBytes
        plainMs += arrivalMs
      }
      if (frames < OBSERVED_FRAMES) return undefined
      const isWrong = isPacked ? savedMs < costMs : plainBytes < plainMs * PLAIN_BYTES_PER_MS_MIN
      forget()
      if (!isWrong) return undefined
      wish = isPacked ? 'plain' : 'packed'
      return wish
    },
  }
}
