/**
 * Byte strings that live and die together, cut from few large pieces: a write group makes a dozen small ones for every record, and
 * each of its own would cost an allocation outside of the JavaScript heap.
 */

/** Gives `length` zeroed bytes. */
export type Allocate = (length: number) => Uint8Array

export const allocateBytes: Allocate = length => new Uint8Array(length)

/** Allocates from pieces of `pieceBytes`; anything larger than a quarter of that gets its own. A piece is freed when nothing in it is used. */
export function createByteArena(pieceBytes = 64 * 1024): Allocate {
  let piece = new Uint8Array(0)
  let used = 0
  return length => {
    if (length > pieceBytes / 4) return new Uint8Array(length)
    if (used + length > piece.length) {
      piece = new Uint8Array(pieceBytes)
      used = 0
    }
    used += length
    return new Uint8Array(piece.buffer, used - length, length)
  }
}
