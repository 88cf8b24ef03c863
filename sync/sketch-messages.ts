/** The messages by which a repair looks for differences with sketches: kinds 40 to 44 of docs/protocol.md. */
import { KEY_HASH_BYTES } from './rows.ts'
import { CELL_BYTES, SYMBOL_BYTES } from './sketch.ts'

/** Cells of one sketch: about 11,000 differences, 393 KB. Beyond them the digest tree divides what is compared. */
export const CELLS_MAX = 16_384
export const SYMBOLS_PER_MESSAGE_MAX = 16_384
export const KEYS_PER_MESSAGE_MAX = 2_048
/** Nodes of one level of the digest tree that are sketched together. */
export const NODES_PER_REGION_MAX = 256

export type SketchMessage =
  /** Asks for a sketch of all items under some nodes of one level: its cells from `from` up to `upTo`. */
  | {
      readonly kind: 'get-cells'
      readonly level: number
      readonly indexes: readonly number[]
      readonly from: number
      readonly upTo: number
    }
  | { readonly kind: 'cells'; readonly cells: Uint8Array }
  /** Asks for the symbols under one node, in ascending order, behind the symbol `after` (empty: from the first). */
  | { readonly kind: 'get-symbols'; readonly level: number; readonly index: number; readonly after: Uint8Array }
  | { readonly kind: 'symbols'; readonly symbols: Uint8Array; readonly hasMore: boolean }
  /** Asks for all items whose keys have these hashes; answered by `items`, the last of which has no more. */
  | { readonly kind: 'get-keys'; readonly keyHashes: Uint8Array }

const NUMBER_BY_KIND = { 'get-cells': 40, cells: 41, 'get-symbols': 42, symbols: 43, 'get-keys': 44 } as const satisfies Record<
  SketchMessage['kind'],
  number
>

export const isSketchMessage = (message: { readonly kind: string }): message is SketchMessage => Object.hasOwn(NUMBER_BY_KIND, message.kind)

/** The message as it is given to the codec. */
export function sketchMessageToFields(message: SketchMessage): unknown[] {
  const number = NUMBER_BY_KIND[message.kind]
  switch (message.kind) {
    case 'get-cells':
      return [number, message.level, message.indexes, message.from, message.upTo]
    case 'cells':
      return [number, message.cells]
    case 'get-symbols':
      return [number, message.level, message.index, message.after]
    case 'symbols':
      return [number, message.symbols, message.hasMore]
    case 'get-keys':
      return [number, message.keyHashes]
  }
}

const isWhole = (value: unknown, max: number): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max
/** Whole items of `size` bytes, at most `itemsMax`. */
const isPacked = (value: unknown, size: number, itemsMax: number): value is Uint8Array =>
  value instanceof Uint8Array && value.length % size === 0 && value.length <= size * itemsMax
const areIndexes = (value: unknown): value is readonly number[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.length <= NODES_PER_REGION_MAX &&
  value.every((index, i, all) => isWhole(index, 2 ** 32) && (i === 0 || index > all[i - 1]))

/** The message that decoded fields hold; undefined when they do not hold one of these. */
export function sketchMessageOf([number, a, b, c, d]: readonly unknown[]): SketchMessage | undefined {
  switch (number) {
    case NUMBER_BY_KIND['get-cells']:
      if (!isWhole(a, 8) || !areIndexes(b) || !isWhole(c, CELLS_MAX) || !isWhole(d, CELLS_MAX) || d <= c) return undefined
      return { kind: 'get-cells', level: a, indexes: b, from: c, upTo: d }
    case NUMBER_BY_KIND.cells:
      return isPacked(a, CELL_BYTES, CELLS_MAX) ? { kind: 'cells', cells: a } : undefined
    case NUMBER_BY_KIND['get-symbols']:
      if (!isWhole(a, 8) || !isWhole(b, 2 ** 32) || !isPacked(c, SYMBOL_BYTES, 1)) return undefined
      return { kind: 'get-symbols', level: a, index: b, after: c }
    case NUMBER_BY_KIND.symbols:
      return isPacked(a, SYMBOL_BYTES, SYMBOLS_PER_MESSAGE_MAX) && typeof b === 'boolean'
        ? { kind: 'symbols', symbols: a, hasMore: b }
        : undefined
    case NUMBER_BY_KIND['get-keys']:
      return isPacked(a, KEY_HASH_BYTES, KEYS_PER_MESSAGE_MAX) ? { kind: 'get-keys', keyHashes: a } : undefined
    default:
      return undefined
  }
}
