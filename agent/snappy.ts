/** Snappy's block format (google/snappy, format_description.txt), reading only: LevelDB writes its index blocks in it. */

/** The plain bytes; undefined when `bytes` are not Snappy, or longer than `bytesMax`. Never throws. */
export function decompressSnappy(bytes: Uint8Array, bytesMax: number): Uint8Array | undefined {
  let at = 0
  let length = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]
    if (byte === undefined || shift > 28) return undefined
    length += (byte & 127) * 2 ** shift
    if (byte < 128) break
  }
  if (length > bytesMax) return undefined
  const plain = new Uint8Array(length)
  let filled = 0
  while (at < bytes.length) {
    const tag = bytes[at++]!
    if ((tag & 3) === 0) {
      let count = (tag >>> 2) + 1
      if (count > 60) {
        const lengthBytes = count - 60
        count = littleEndian(bytes, at, lengthBytes) + 1
        at += lengthBytes
      }
      if (at + count > bytes.length || filled + count > length) return undefined
      plain.set(bytes.subarray(at, at + count), filled)
      at += count
      filled += count
      continue
    }
    const kind = tag & 3
    const offsetBytes = kind === 1 ? 1 : kind === 2 ? 2 : 4
    const count = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1
    const offset = littleEndian(bytes, at, offsetBytes) + (kind === 1 ? (tag >>> 5) * 256 : 0)
    at += offsetBytes
    if (at > bytes.length || offset === 0 || offset > filled || filled + count > length) return undefined
    // Byte by byte: what is copied may be what is being written.
    for (let i = 0; i < count; i++, filled++) plain[filled] = plain[filled - offset]!
  }
  return filled === length ? plain : undefined
}

function littleEndian(bytes: Uint8Array, at: number, count: number): number {
  let value = 0
  for (let i = count - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] ?? 0)
  return value
}
