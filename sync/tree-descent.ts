/**
 * A repair down the digest tree: both sides compare the digests of nodes, and the items under those that differ. For peers that know of no sketches, and
 * where one side is partial: what that one has given up would fill any sketch.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Hash } from '../base/ports.ts'
import { type Channel, type MessageOf, SessionFault } from './channel.ts'
import { type DigestSum, FANOUT, LEVEL_MAX, nodeDigest } from './digest.ts'
import { type ItemClaim, type ItemName, ITEMS_PER_MESSAGE_MAX, type NodeChildren, NODES_PER_MESSAGE_MAX } from './messages.ts'
import { lackOf } from './partial.ts'
import type { Differing, RepairContext, Repairing } from './repairing.ts'
import type { CollectionSnapshot } from './replica-snapshot.ts'

/** A node with at most this many items on either side is compared item by item. */
const ITEMS_COMPARED_MAX = 64

/** Goes down the digest tree where it differs. */
export async function* descendTree(repairing: Repairing): AsyncGenerator<Differing> {
  const { channel, mine } = repairing
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
      for (const child of await differingChildren(repairing, mine, level, node)) {
        const isFine = child.itemsMax <= ITEMS_COMPARED_MAX || level + 1 >= LEVEL_MAX
        if (isFine) yield await compareItems(repairing, level + 1, child.index)
        else nodes.push({ level: level + 1, index: child.index })
      }
    }
    // Deeper nodes of one level are asked for together.
    nodes = nodes.toSorted((a, b) => a.level - b.level)
  }
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

/** Compares the items under one node. */
async function compareItems(repairing: Repairing, level: number, index: number): Promise<Differing> {
  const { channel, mine } = repairing
  const theirItems = await fetchItems(channel, level, index)
  const myItems: ItemClaim[] = []
  for await (const item of mine.items(level, index)) myItems.push(item)
  const nameOf = ({ key, dot }: ItemName): string => `${dot.origin}:${dot.counter}:${key}`
  const hashOf = (items: readonly ItemClaim[]) => new Map(items.map(item => [nameOf(item), item.hash]))
  const mineByName = hashOf(myItems)
  const theirsByName = hashOf(theirItems)
  const isSame = (item: ItemClaim, others: ReadonlyMap<string, Uint8Array>): boolean => {
    const other = others.get(nameOf(item))
    return other !== undefined && equalBytes(other, item.hash)
  }
  return {
    mine: myItems.filter(item => !isSame(item, theirsByName)),
    theirs: theirItems.filter(item => !isSame(item, mineByName)),
    myKeys: new Set(myItems.map(({ key }) => key)),
    theirsByKey: Map.groupBy(theirItems, ({ key }) => key),
  }
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

/** Answers a driver. */
export async function readNodes(hash: Hash, mine: CollectionSnapshot, request: MessageOf<'get-nodes'>): Promise<NodeChildren[]> {
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

/** Answers a driver. */
export async function readItems(mine: CollectionSnapshot, request: MessageOf<'get-items'>): Promise<MessageOf<'items'>> {
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
