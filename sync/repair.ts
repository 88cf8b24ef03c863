/**
 * L2: when two replicas know the same and hold different things, or one is behind the other's floor of collected tombstones, they
 * look for the items that differ - with sketches (sketch-search.ts), or down the digest tree where the peer knows of none - and settle those.
 *
 * The side that opened the link drives; the other serves sketches, nodes and items from one snapshot. Both state vector and G (the vector of
 * tombstones they have collected) of their snapshots first. An item that one side holds and whose key the other lacks is (R6, both ways):
 *   - to be dropped, when its holder's vector does not cover the other's G, and the other's vector covers the item's dot: the holder
 *     is behind the other's floor, the item was collected there after everybody had seen it superseded;
 *   - damage at the side that lacks it, otherwise: it is sent again, even below that side's vector.
 * Where both hold the key, versions are merged, and under `lww` never dropped. Where concurrent versions stay, the first rule also holds for each
 * version that nothing the other has there supersedes: a key that was written again behind a collected delete remembers nothing of what
 * that delete had seen (decision 0012). Repair applies what vectors cover; L1 does not. What one side's vector covers and the other's does not is
 * no drift and is left to the tails (R4).
 */
import { concatBytes, toHex } from '../base/bytes.ts'
import { type Channel, type MessageOf, SessionFault } from './channel.ts'
import { coversDot, isSameDot, type Dot } from './dot.ts'
import { FRAME_LIMITS } from './exchange.ts'
import { isBehindFloor, isEqualVector, type Knowledge } from './floor.ts'
import { keyFault } from './key.ts'
import { type ItemClaim, type ItemName, ITEMS_PER_MESSAGE_MAX, type Message, type WireItem } from './messages.ts'
import { judgeLacking, lackOf } from './partial.ts'
import type { Differing, RepairContext, Repairing } from './repairing.ts'
import { type CollectionSnapshot, countersOf } from './replica-snapshot.ts'
import { KEY_HASH_BYTES } from './rows.ts'
import { KEYS_PER_MESSAGE_MAX } from './sketch-messages.ts'
import { BUCKET_CELLS, isForTails, sketchBuckets } from './sketch-region.ts'
import { decodeBucketCells, findDifferences } from './sketch-search.ts'
import { createSketchServer } from './sketch-serve.ts'
import { encodeCells, type Difference } from './sketch.ts'
import { descendTree, readItems, readNodes } from './tree-descent.ts'
import { decodeVersion, supersedes, type Version } from './version.ts'
import { keyBytes } from './write-batch.ts'

/** Items that the keys of one message may have: all of them with as many concurrent versions as robots ever write. */
const ITEMS_OF_KEYS_MAX = 256 * KEYS_PER_MESSAGE_MAX

/** Drives a repair of one collection from this side. */
export async function driveRepair(context: RepairContext, mine: CollectionSnapshot): Promise<void> {
  const { channel, hash } = context
  const [answer] = await Promise.all([
    channel.expect('repair'),
    channel.send({ kind: 'repair', vector: mine.vector, collected: mine.collected }),
  ])
  const own: Knowledge = { vector: mine.counters, collected: mine.collected }
  const theirs: Knowledge = { vector: countersOf(answer.vector), collected: answer.collected }
  const { isMinePartial, isTheirsPartial, sends, receives } = context.relation
  const areFull = !isMinePartial && !isTheirsPartial && sends && receives
  const repairing: Repairing = { ...context, mine, own, theirs, areFull }
  if (answer.bucketCells === undefined || context.isSketched === false || !areFull) {
    for await (const differing of descendTree(repairing)) await settle(repairing, differing)
  } else {
    const isComparable = isEqualVector(own.vector, theirs.vector)
    const buckets = [await sketchBuckets(hash, mine), decodeBucketCells(answer.bucketCells)] as const
    for await (const difference of findDifferences({ channel, mine, own, theirs }, ...buckets, isComparable)) {
      await settleDifference(repairing, difference)
    }
  }
  await channel.send({ kind: 'repaired' })
  await channel.expect('repaired')
}

/** Fetches the names of the items that differ, and settles them. */
async function settleDifference(repairing: Repairing, difference: Difference): Promise<void> {
  const { channel, mine, own, theirs } = repairing
  const symbolOf = (keyHash: string, { hash }: ItemClaim): string => keyHash + toHex(hash.subarray(0, KEY_HASH_BYTES))
  const mySymbols = new Set(difference.mine.map(toHex))
  const theirSymbols = new Set(difference.theirs.map(toHex))
  const keyHashOf = (symbol: Uint8Array): string => toHex(symbol.subarray(0, KEY_HASH_BYTES))
  const hashByText = new Map(
    [...difference.mine, ...difference.theirs].map(symbol => [keyHashOf(symbol), symbol.subarray(0, KEY_HASH_BYTES)]),
  )
  // Whether the peer holds the key matters only where this side is behind its floor.
  const asked = new Set((isBehindFloor(own, theirs) ? [...difference.mine, ...difference.theirs] : difference.theirs).map(keyHashOf))
  const texts = [...hashByText.keys()].sort()
  for (let at = 0; at < texts.length; at += KEYS_PER_MESSAGE_MAX) {
    const part = texts.slice(at, at + KEYS_PER_MESSAGE_MAX)
    const differing: Differing = { mine: [], theirs: [], myKeys: new Set(), theirsByKey: new Map() }
    const wanted = part.filter(text => asked.has(text)).flatMap(text => hashByText.get(text) ?? [])
    for (const { item, keyHash } of wanted.length === 0 ? [] : await fetchKeys(channel, repairing, wanted)) {
      const ofKey = differing.theirsByKey.get(item.key)
      if (ofKey === undefined) differing.theirsByKey.set(item.key, [item])
      else ofKey.push(item)
      if (theirSymbols.has(symbolOf(keyHash, item))) differing.theirs.push(item)
    }
    for (const text of part) {
      for await (const item of mine.itemsOfKey(hashByText.get(text)!)) {
        differing.myKeys.add(item.key)
        if (mySymbols.has(symbolOf(text, item))) differing.mine.push(item)
      }
    }
    await settle(repairing, differing)
  }
}

/** The peer's items of the keys with these hashes. */
async function fetchKeys(
  channel: Channel,
  { replica }: Repairing,
  keyHashes: readonly Uint8Array[],
): Promise<{ readonly item: ItemClaim; readonly keyHash: string }[]> {
  await channel.send({ kind: 'get-keys', keyHashes: concatBytes(...keyHashes) })
  const found: { readonly item: ItemClaim; readonly keyHash: string }[] = []
  for (;;) {
    const page = await channel.expect('items')
    for (const item of page.items)
      if (keyFault(item.key) === undefined) found.push({ item, keyHash: toHex(replica.keyHash(keyBytes(item.key))) })
    if (found.length > ITEMS_OF_KEYS_MAX) throw new SessionFault('unexpected', 'the peer sent more items than so few keys have')
    if (!page.hasMore) return found
    if (page.items.length === 0) throw new SessionFault('unexpected', 'the peer promised more items and sent none')
  }
}

/** Moves, fetches or drops what differs. */
async function settle(repairing: Repairing, differing: Differing): Promise<void> {
  const { channel, replica, mine, own, theirs, stats, relation, areFull } = repairing
  const toSend: ItemClaim[] = []
  const toDropHere: ItemClaim[] = []
  const toFetch: ItemClaim[] = []
  const toDropThere: ItemClaim[] = []
  const outlived = replica.keepsSiblings(mine.name) ? await findOutlived(repairing, differing) : new Set()
  for (const item of differing.mine) {
    const isMerged = differing.theirsByKey.has(item.key) && !outlived.has(item)
    const action = isMerged ? 'send' : judgeLacking(own, theirs, item.dot, lackOf(relation, 'theirs'))
    if (action === 'drop') toDropHere.push(item)
    else if (action === 'send' && !(areFull && isForTails(own, theirs, item.dot))) toSend.push(item)
  }
  for (const item of differing.theirs) {
    const isMerged = differing.myKeys.has(item.key) && !outlived.has(item)
    const action = isMerged ? 'send' : judgeLacking(theirs, own, item.dot, lackOf(relation, 'mine'))
    if (action === 'drop') toDropThere.push(item)
    else if (action === 'send' && !(areFull && isForTails(theirs, own, item.dot))) toFetch.push(item)
  }
  const isDrift = ({ dot }: ItemName): boolean => coversDot(own.vector, dot) && coversDot(theirs.vector, dot)
  stats.drifted += toSend.filter(isDrift).length + toFetch.filter(isDrift).length

  if (toDropHere.length > 0) await replica.dropItems(mine.name, mine.generation, toDropHere, theirs.collected)
  for (const items of chunks(toDropThere)) {
    await channel.send({ kind: 'drop', items })
    await channel.expect('ack')
  }
  for await (const frame of fetchFrames(channel, toFetch)) await applyRepairFrame(repairing, mine, frame)
  for await (const frame of frames(repairing, mine, toSend)) {
    await channel.send(frame)
    await channel.expect('ack')
  }
}

/**
 * Of the items whose key the other side holds too, those that it has seen and that nothing it holds there supersedes, when their holder is
 * behind its floor. What is superseded stays until that which supersedes it is here: it may be all that is left of it.
 */
async function findOutlived(repairing: Repairing, differing: Differing): Promise<ReadonlySet<ItemClaim>> {
  const { channel, mine, own, theirs, relation } = repairing
  const isSuperseded = (entry: readonly Version[], dot: Dot): boolean => entry.some(version => supersedes(version, dot))
  const outlived = new Set<ItemClaim>()
  for (const item of differing.theirs) {
    if (!differing.myKeys.has(item.key) || judgeLacking(theirs, own, item.dot, lackOf(relation, 'mine')) !== 'drop') continue
    const held = mine.entry(keyBytes(item.key)) ?? []
    // What differs may be held here as well: of what the tails carry the two sides' sketches do not say the same.
    if (!held.some(version => isSameDot(version, item.dot)) && !isSuperseded(held, item.dot)) outlived.add(item)
  }
  const suspects = differing.mine.filter(
    ({ key, dot }) =>
      differing.theirsByKey.get(key)?.every(item => !isSameDot(item.dot, dot)) === true &&
      judgeLacking(own, theirs, dot, lackOf(relation, 'theirs')) === 'drop',
  )
  if (suspects.length === 0) return outlived
  const theirVersions = new Map<string, Version[]>()
  const named = [...new Set(suspects.map(({ key }) => key))].flatMap(key => differing.theirsByKey.get(key) ?? [])
  for await (const { items } of fetchFrames(channel, named)) {
    for (const { key, version } of items) {
      const decoded = decodeVersion(version)
      if (decoded !== undefined) theirVersions.set(key, [...(theirVersions.get(key) ?? []), decoded])
    }
  }
  for (const item of suspects) if (!isSuperseded(theirVersions.get(item.key) ?? [], item.dot)) outlived.add(item)
  return outlived
}

/** The versions with these names, as far as the peer still holds them. */
async function* fetchFrames(channel: Channel, names: readonly ItemName[]): AsyncGenerator<MessageOf<'frame'>> {
  for (const items of chunks(names)) {
    await channel.send({ kind: 'want', items })
    for (;;) {
      const message = await channel.receive()
      if (message.kind === 'ack') break
      if (message.kind !== 'frame') throw new SessionFault('unexpected', `the peer sent "${message.kind}" in the place of wanted items`)
      yield message
    }
  }
}

function chunks<Item>(items: readonly Item[]): Item[][] {
  const parts: Item[][] = []
  for (let at = 0; at < items.length; at += ITEMS_PER_MESSAGE_MAX) parts.push(items.slice(at, at + ITEMS_PER_MESSAGE_MAX))
  return parts
}

/** Frames with the named versions, as far as this side still holds them. */
async function* frames(context: RepairContext, mine: CollectionSnapshot, names: readonly ItemName[]): AsyncGenerator<MessageOf<'frame'>> {
  let items: WireItem[] = []
  let bytes = 0
  const frame = (): MessageOf<'frame'> => {
    context.stats.itemsSent += items.length
    return { kind: 'frame', items, position: undefined, logicalClock: context.replica.logicalClock() }
  }
  for (const { key, dot } of names) {
    if (keyFault(key) !== undefined) continue
    const item = mine.item(keyBytes(key), dot)
    if (item === undefined) continue
    if (items.length > 0 && bytes + item.version.length > FRAME_LIMITS.bytesMax) {
      yield frame()
      items = []
      bytes = 0
    }
    items.push({ key, version: item.version })
    bytes += key.length + item.version.length
  }
  if (items.length > 0) yield frame()
}

async function applyRepairFrame(context: RepairContext, mine: CollectionSnapshot, frame: MessageOf<'frame'>): Promise<void> {
  const items = frame.items.flatMap(({ key, version }) => {
    const decoded = decodeVersion(version)
    if (decoded !== undefined && keyFault(key) === undefined) return [{ key, version: decoded }]
    context.stats.malformed += 1
    return []
  })
  context.stats.itemsReceived += items.length
  const { name, generation, collected } = mine
  const { logicalClock } = frame
  const { crossing } = context
  const judged = { collection: name, generation, items, logicalClock, skipCovered: false, collected, crossing }
  const applied = await context.replica.applyItems(judged)
  if (applied === undefined)
    throw new SessionFault('closed', `"${name}" was deleted, or tombstones of it were collected, in the middle of a repair`)
}

/** Serves a repair that the peer drives, from one snapshot. */
export async function serveRepair(context: RepairContext, mine: CollectionSnapshot): Promise<void> {
  const { channel, hash } = context
  const bucketCells = encodeCells(await sketchBuckets(hash, mine), 0, BUCKET_CELLS)
  const [answer] = await Promise.all([
    channel.expect('repair'),
    channel.send({ kind: 'repair', vector: mine.vector, collected: mine.collected, bucketCells }),
  ])
  const own: Knowledge = { vector: mine.counters, collected: mine.collected }
  const theirs: Knowledge = { vector: countersOf(answer.vector), collected: answer.collected }
  const sketches = createSketchServer(channel, mine, own, theirs)
  for (;;) {
    const message: Message = await channel.receive()
    switch (message.kind) {
      case 'get-nodes':
        await channel.send({ kind: 'nodes', nodes: await readNodes(context.hash, mine, message) })
        break
      case 'get-items':
        await channel.send(await readItems(mine, message))
        break
      case 'get-cells':
        await channel.send(await sketches.readCells(message))
        break
      case 'get-symbols':
        await channel.send(await sketches.readSymbols(message))
        break
      case 'get-keys':
        await sketches.sendKeys(message)
        break
      case 'want':
        for await (const frame of frames(context, mine, message.items)) await channel.send(frame)
        await channel.send({ kind: 'ack' })
        break
      case 'frame':
        await applyRepairFrame(context, mine, message)
        await channel.send({ kind: 'ack' })
        break
      case 'drop': {
        // The driver's claim is not taken on trust: only what the rule allows is dropped.
        const lack = lackOf(context.relation, 'theirs')
        const allowed = message.items.filter(({ dot }) => judgeLacking(own, theirs, dot, lack) === 'drop')
        await context.replica.dropItems(mine.name, mine.generation, allowed, theirs.collected)
        await channel.send({ kind: 'ack' })
        break
      }
      case 'repaired':
        await channel.send({ kind: 'repaired' })
        return
      default:
        throw new SessionFault('unexpected', `the peer sent "${message.kind}" in the middle of a repair`)
    }
  }
}
