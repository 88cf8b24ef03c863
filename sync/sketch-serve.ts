/** Answers what the driver of a repair asks about sketches and the items behind them, from one snapshot. */
import { compareBytes } from '../base/bytes.ts'
import { SessionFault, type Channel, type MessageOf } from './channel.ts'
import { LEVEL_MAX } from './digest.ts'
import type { Knowledge } from './floor.ts'
import { ITEMS_PER_MESSAGE_MAX, type ItemClaim } from './messages.ts'
import type { CollectionSnapshot } from './replica-snapshot.ts'
import { KEY_HASH_BYTES } from './rows.ts'
import { encodeCells, SYMBOL_BYTES, type Sketch } from './sketch.ts'
import { SYMBOLS_PER_MESSAGE_MAX } from './sketch-messages.ts'
import { forEachItemRow, isRegion, sketchItems, writeSymbol, type Region } from './sketch-region.ts'

/** Cells that are made at least: who asks for few may ask for more, and a second scan costs more than cells. */
const CELLS_MADE_MIN = 1_024

export interface SketchServer {
  readCells(request: MessageOf<'get-cells'>): Promise<MessageOf<'cells'>>
  readSymbols(request: MessageOf<'get-symbols'>): Promise<MessageOf<'symbols'>>
  sendKeys(request: MessageOf<'get-keys'>): Promise<void>
}

const requireRegion = (region: Region): void => {
  if (!isRegion(region, LEVEL_MAX)) throw new SessionFault('unexpected', 'the peer asked for a node that no tree has')
}

/** Keeps the sketch that was asked for last, for whoever asks for more of its cells. */
export function createSketchServer(channel: Channel, mine: CollectionSnapshot, own: Knowledge, theirs: Knowledge): SketchServer {
  let last: { readonly name: string; readonly sketch: Sketch } | undefined
  return {
    async readCells({ level, indexes, from, upTo }) {
      const region = { level, indexes }
      requireRegion(region)
      const name = `${level}:${indexes.join()}`
      let sketch = last?.name === name ? last.sketch : undefined
      if (sketch === undefined || sketch.cells < upTo) sketch = await sketchItems(mine, region, own, theirs, Math.max(upTo, CELLS_MADE_MIN))
      last = { name, sketch }
      return { kind: 'cells', cells: encodeCells(sketch, from, upTo) }
    },

    async readSymbols({ level, index, after }) {
      const region = { level, indexes: [index] }
      requireRegion(region)
      const symbols: Uint8Array[] = []
      await forEachItemRow(mine, region, own, theirs, row => {
        const symbol = new Uint8Array(SYMBOL_BYTES)
        writeSymbol(row, symbol)
        if (compareBytes(symbol, after) > 0) symbols.push(symbol)
      })
      // Rows are ordered by key hash; the versions of one key are not by their hashes.
      symbols.sort(compareBytes)
      const count = Math.min(symbols.length, SYMBOLS_PER_MESSAGE_MAX)
      const packed = new Uint8Array(count * SYMBOL_BYTES)
      for (let i = 0; i < count; i++) packed.set(symbols[i]!, i * SYMBOL_BYTES)
      return { kind: 'symbols', symbols: packed, hasMore: symbols.length > count }
    },

    async sendKeys({ keyHashes }) {
      let items: ItemClaim[] = []
      for (let at = 0; at < keyHashes.length; at += KEY_HASH_BYTES) {
        for await (const item of mine.itemsOfKey(keyHashes.subarray(at, at + KEY_HASH_BYTES))) {
          if (items.length === ITEMS_PER_MESSAGE_MAX) {
            await channel.send({ kind: 'items', items, hasMore: true })
            items = []
          }
          items.push(item)
        }
      }
      await channel.send({ kind: 'items', items, hasMore: false })
    },
  }
}
