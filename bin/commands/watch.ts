import { checkedCursor } from '../cursor.ts'
import { defineCommand } from '../command.ts'
import { formatContent } from '../content.ts'
import { describeFailure } from '../failure.ts'
import { createInterrupt } from '../interrupt.ts'
import { paint, print, printable, printError } from '../terminal.ts'
import { watchEvents } from '../watcher.ts'
import { formatCount, formatText, shorten } from '../words.ts'
import type { Colour } from '../terminal.ts'
import type { WatchedEvent } from '../watcher.ts'

type Data = Readonly<Record<string, unknown>>

const kindWidth = 'conflict'.length

const colourByKind: Readonly<Record<string, Colour>> = { put: 'green', delete: 'red', conflict: 'yellow', reset: 'yellow' }

/** A delete without a key is one of a whole collection. */
const describeRecord = ({ collection, key }: Data): string =>
  key === undefined ? `${formatText(collection)}  the whole collection` : `${formatText(collection)}  ${formatText(key)}`
const describeWritten = (data: Data): string => `${describeRecord(data)}  ${formatContent(data)}`

const describeByKind: Readonly<Record<string, (data: Data) => string>> = {
  put: describeWritten,
  delete: describeRecord,
  conflict: data => `${describeRecord(data)}  dropped: ${formatContent(data)}`,
  peer({ node_name: name, node_id: id, change, reason, addr }) {
    const why = reason === undefined ? '' : ` (${formatText(reason)})`
    return `${formatText(name)} ${shorten(id)} at ${formatText(addr)} ${formatText(change)}${why}`
  },
  sync({ peer, collection, in_sync: isInSync, entries_sent: sent, entries_received: received }) {
    const state = isInSync === true ? 'in sync' : 'still differs'
    return `${formatText(collection)} with ${shorten(peer)}: ${state}, ${formatCount(received)} received, ${formatCount(sent)} sent`
  },
  role: ({ role, epoch }) => `${formatText(role)}, epoch ${formatText(epoch)}`,
  store: ({ detail }) => formatText(detail),
  identity: ({ addr }) => `another process uses the id of this node: ${formatText(addr)}`,
  reset: ({ reason }) => `${formatText(reason)}; from the beginning`,
}

export function describeEvent({ kind, text, data }: WatchedEvent): string {
  const describe = Object.hasOwn(describeByKind, kind) ? describeByKind[kind] : undefined
  return `${paint(colourByKind[kind] ?? 'dim', printable(kind).padEnd(kindWidth))}  ${printable(describe?.(data) ?? text)}`
}

export const watch = defineCommand({
  summary: 'Shows changes as they happen, until Ctrl-C',
  details:
    'Records that were put, deleted or in conflict (with what was dropped), and collections that were deleted; peers that come and go; ' +
    'exchanges that end; first of all the role of the agent. With COLLECTION only what belongs to it. When the agent is lost, watch waits for it and goes on where it was; nothing is missed. --json prints one event a ' +
    'line, and its `cursor` is what --since takes.',
  positionals: ['[collection]'],
  options: { since: { type: 'string', value: 'CURSOR', doc: 'Go on behind this cursor; 0 is the beginning, otherwise it is now' } },
  examples: ['hs-agent watch', 'hs-agent watch map --since 0', 'hs-agent watch map --json | jq .key'],
  run: async ({ args, options, json, connect }) => {
    const since = checkedCursor(options.since)
    const signal = createInterrupt()
    const watching = watchEvents({
      api: await connect(),
      collection: args.collection,
      since,
      signal,
      onLost: error => printError(`${describeFailure(error).text}; trying again`),
      onBack: () => printError('hs-agent: the agent answers again'),
    })
    for await (const event of watching.events) print(json ? event.text : describeEvent(event))
    const cursor = watching.cursor()
    if (!json && cursor !== undefined) printError(`To go on from here: --since ${cursor}`)
  },
})
