/**
 * L2: when two replicas know the same and hold different things, or one is behind the other's floor of collected tombstones, they
 * descend the digest tree together and compare items where it differs.
 *
 * The side that opened the link drives; the other serves nodes and items from one snapshot. Both state vector and G (the vector of
 * tombstones they have collected) of their snapshots first. An item that one side holds and whose key the other lacks is (R6, both ways):
 *   - to be dropped, when its holder's vector does not cover the other's G, and the other's vector covers the item's dot: the holder
 *     is behind the other's floor, the item was collected there after everybody had seen it superseded;
 *   - damage at the side that lacks it, otherwise: it is sent again, even below that side's vector.
 * Where both hold the key, versions are merged, never dropped. (Repair applies what vectors cover; L1 does not.)
 */
import { equalBytes } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { SessionFault, type Channel, type MessageOf } from './channel.ts'
import { FANOUT, LEVEL_MAX, nodeDigest, type DigestSum } from './digest.ts'
import { FRAME_LIMITS, type ExchangeStats } from './exchange.ts'
import type { Knowledge } from './floor.ts'
import { keyFault } from './key.ts'
import {
  ITEMS_PER_MESSAGE_MAX,
  NODES_PER_MESSAGE_MAX,
  type ItemClaim,
  type ItemName,
  type Message,
  type NodeChildren,
  type WireItem,
} from './messages.ts'
import { judgeLacking, lackOf, type Relation } from './partial.ts'
import type { SyncReplica } from './sync-replica.ts'
import { countersOf, type CollectionSnapshot } from './replica-snapshot.ts'
import { decodeVersion } from './version.ts'
import { keyBytes } from './write-batch.ts'

/** A node with at most this many items on either side is compared item by item. */
const ITEMS_COMPARED_MAX = 64

export interface RepairContext {
  readonly channel: Channel
  readonly replica: SyncReplica
  readonly hash: Hash
  readonly stats: ExchangeStats
  /** What the two replicas are to one another: what a partial one lacks says nothing (R8). */
  readonly relation: Relation
}

async function exchangeKnowledge(channel: Channel, mine: CollectionSnapshot): Promise<Knowledge> {
  await channel.send({ kind: 'repair', vector: mine.vector, collected: mine.collected })
  const theirs = await channel.expect('repair')
  return { vector: countersOf(theirs.vector), collected: theirs.collected }
}

/** Drives a repair of one collection from this side. */
export async function driveRepair(context: RepairContext, mine: CollectionSnapshot): Promise<void> {
  const { channel } = context
  const theirs = await exchangeKnowledge(channel, mine)
  const own: Knowledge = { vector: mine.counters, collected: mine.collected }

  let nodes: { readonly level: number; readonly index: number }[] = [{ level: 0, index: 0 }]
  while (nodes.length > 0) {
    const batch = nodes.splice(0, NODES_PER_MESSAGE_MAX)
    const level = batch[0]?.level ?? 0
    const sameLevel = batch.filter(node => node.level === level)
    nodes.unshift(...batch.filter(node => node.level !== level))
    const indexes = sameLevel.map(({ index }) => index)
    await channel.send({ kind: 'get-nodes', level, indexes })
    const answer = await channel.expect('nodes')
    for (const index of indexes) {
      const node = answer.nodes.find(candidate => candidate.index === index)
      if (node?.digests.length !== FANOUT || node.counts.length !== FANOUT) throw new SessionFault('unexpected', 'the peer left out a node')
      for (const child of await differingChildren(context, mine, level, node)) {
        const isFine = child.itemsMax <= ITEMS_COMPARED_MAX || level + 1 >= LEVEL_MAX
        if (isFine) await repairItems(context, mine, own, theirs, level + 1, child.index)
        else nodes.push({ level: level + 1, index: child.index })
      }
    }
    // Deeper nodes of one level are asked for together.
    nodes = nodes.toSorted((a, b) => a.level - b.level)
  }
  await channel.send({ kind: 'repaired' })
  await channel.expect('repaired')
}

async function differingChildren({ hash, relation }: RepairContext, mine: CollectionSnapshot, level: number, node: NodeChildren) {
  const sums = await mine.children(level, node.index)
  return sums.flatMap((sum: DigestSum, i) => {
    const index = node.index * FANOUT + i
    const digest = node.digests[i]
    if (digest !== undefined && equalBytes(nodeDigest(hash, sum, level + 1, index), digest)) return []
    const theirCount = node.counts[i] ?? 0
    // Where a partial replica holds nothing there is nothing to learn.
    if (sum.count === 0 && lackOf(relation, 'mine') === 'nothing') return []
    if (theirCount === 0 && lackOf(relation, 'theirs') === 'nothing') return []
    return [{ index, itemsMax: Math.max(sum.count, theirCount) }]
  })
}

/** Compares the items under one node and moves, fetches or drops what differs. */
async function repairItems(
  context: RepairContext,
  mine: CollectionSnapshot,
  own: Knowledge,
  theirs: Knowledge,
  level: number,
  index: number,
): Promise<void> {
  const { channel, replica } = context
  const theirItems = await fetchItems(channel, level, index)
  const myItems: ItemClaim[] = []
  for await (const item of mine.items(level, index)) myItems.push(item)
  const theirKeys = new Set(theirItems.map(({ key }) => key))
  const myKeys = new Set(myItems.map(({ key }) => key))
  const nameOf = ({ key, dot }: ItemName): string => `${dot.origin}:${dot.counter}:${key}`
  const hashOf = (items: readonly ItemClaim[]) => new Map(items.map(item => [nameOf(item), item.hash]))
  const mineByName = hashOf(myItems)
  const theirsByName = hashOf(theirItems)
  const isSame = (item: ItemClaim, others: ReadonlyMap<string, Uint8Array>): boolean => {
    const other = others.get(nameOf(item))
    return other !== undefined && equalBytes(other, item.hash)
  }

  const toSend: ItemClaim[] = []
  const toDropHere: ItemClaim[] = []
  const toFetch: ItemClaim[] = []
  const toDropThere: ItemClaim[] = []
  for (const item of myItems) {
    if (isSame(item, theirsByName)) continue
    const action = theirKeys.has(item.key) ? 'send' : judgeLacking(own, theirs, item.dot, lackOf(context.relation, 'theirs'))
    if (action === 'drop') toDropHere.push(item)
    else if (action === 'send') toSend.push(item)
  }
  for (const item of theirItems) {
    if (isSame(item, mineByName)) continue
    const action = myKeys.has(item.key) ? 'send' : judgeLacking(theirs, own, item.dot, lackOf(context.relation, 'mine'))
    if (action === 'drop') toDropThere.push(item)
    else if (action === 'send') toFetch.push(item)
  }

  if (toDropHere.length > 0) await replica.dropItems(mine.name, mine.generation, toDropHere)
  for (const items of chunks(toDropThere)) {
    await channel.send({ kind: 'drop', items })
    await channel.expect('ack')
  }
  for (const items of chunks(toFetch)) {
    await channel.send({ kind: 'want', items })
    for (;;) {
      const message = await channel.receive()
      if (message.kind === 'ack') break
      if (message.kind !== 'frame') throw new SessionFault('unexpected', `the peer sent "${message.kind}" in the place of wanted items`)
      await applyRepairFrame(context, mine, message)
    }
  }
  for await (const frame of frames(context, mine, toSend)) {
    await channel.send(frame)
    await channel.expect('ack')
  }
}

function chunks<Item>(items: readonly Item[]): Item[][] {
  const parts: Item[][] = []
  for (let at = 0; at < items.length; at += ITEMS_PER_MESSAGE_MAX) parts.push(items.slice(at, at + ITEMS_PER_MESSAGE_MAX))
  return parts
}

async function fetchItems(channel: Channel, level: number, index: number): Promise<ItemClaim[]> {
  const items: ItemClaim[] = []
  for (;;) {
    await channel.send({ kind: 'get-items', level, index, skip: items.length })
    const page = await channel.expect('items')
    items.push(...page.items)
    if (!page.hasMore) return items
    if (page.items.length === 0) throw new SessionFault('unexpected', 'the peer promised more items and sent none')
  }
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
  const applied = await context.replica.applyItems({ collection: name, generation, items, logicalClock, skipCovered: false, collected })
  if (applied === undefined)
    throw new SessionFault('closed', `"${name}" was deleted, or tombstones of it were collected, in the middle of a repair`)
}

/** Serves a repair that the peer drives, from one snapshot. */
export async function serveRepair(context: RepairContext, mine: CollectionSnapshot): Promise<void> {
  const { channel } = context
  const theirs = await exchangeKnowledge(channel, mine)
  const own: Knowledge = { vector: mine.counters, collected: mine.collected }
  for (;;) {
    const message: Message = await channel.receive()
    switch (message.kind) {
      case 'get-nodes':
        await channel.send({ kind: 'nodes', nodes: await readNodes(context.hash, mine, message) })
        break
      case 'get-items':
        await channel.send(await readItems(mine, message))
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
        await context.replica.dropItems(mine.name, mine.generation, allowed)
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

async function readNodes(hash: Hash, mine: CollectionSnapshot, request: MessageOf<'get-nodes'>): Promise<NodeChildren[]> {
  const { level, indexes } = request
  if (level >= LEVEL_MAX || indexes.some(index => index >= FANOUT ** level))
    throw new SessionFault('unexpected', 'the peer asked for a node that no tree has')
  const nodes: NodeChildren[] = []
  for (const index of indexes) {
    const sums = await mine.children(level, index)
    nodes.push({
      index,
      digests: sums.map((sum, i) => nodeDigest(hash, sum, level + 1, index * FANOUT + i)),
      counts: sums.map(({ count }) => count),
    })
  }
  return nodes
}

async function readItems(mine: CollectionSnapshot, request: MessageOf<'get-items'>): Promise<MessageOf<'items'>> {
  const { level, index, skip } = request
  if (level > LEVEL_MAX || index >= FANOUT ** level)
    throw new SessionFault('unexpected', 'the peer asked for items of a node that no tree has')
  const items: ItemClaim[] = []
  let at = 0
  for await (const item of mine.items(level, index)) {
    if (at++ < skip) continue
    if (items.length === ITEMS_PER_MESSAGE_MAX) return { kind: 'items', items, hasMore: true }
    items.push(item)
  }
  return { kind: 'items', items, hasMore: false }
}
