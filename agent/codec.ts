/** The wire codec: cbor-x behind a linear pre-scan. */
import { Decoder, Encoder } from 'cbor-x'
import { scanCbor } from '../base/cbor-scan.ts'
import type { Codec } from '../base/ports.ts'

const settings = { useRecords: false, variableMapSize: true, tagUint8Array: false } as const

export function createCodec(): Codec {
  const encoder = new Encoder(settings)
  const decoder = new Decoder(settings)
  return {
    // The copy frees cbor-x's shared 8 KiB pool, which would otherwise be kept alive by a small message.
    encode: value => new Uint8Array(encoder.encode(value)),
    decode(bytes) {
      if (scanCbor(bytes) !== undefined) return undefined
      return decoder.decode(bytes)
    },
  }
}
