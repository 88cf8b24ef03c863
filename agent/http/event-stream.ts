/**
 * One consumer of `GET /api/events`, from its first byte to its last.
 *
 * Changes of records are on disk: while the socket is full, the feed is not read, and nothing is dropped however slow the consumer is.
 * Peer, sync, role, identity, store and disk events are kept nowhere else: they wait for the consumer in a bounded queue, the role as it is now in front. A
 * consumer that lets the queue overflow, or takes nothing at all for a while, gets a last event that says so; what it has missed is
 * behind its cursor.
 */
import type { ServerResponse } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { AgentEvent, EventHub, RoleEvent } from '../event-hub.ts'
import { AgentError } from '../errors.ts'
import type { ChangeFeed, FeedStart } from './change-feed.ts'
import { toBlock, toEventJson, type Block } from './event-json.ts'
import type { HttpLimits } from './limits.ts'
import { createWaker } from './waker.ts'

export interface EventStreamOptions {
  readonly feed: ChangeFeed
  readonly events: Pick<EventHub, 'subscribe'>
  /** This node's, at the moment. */
  readonly role: () => Omit<RoleEvent, 'kind'>
  /** What holds since earlier, and a person should know. */
  readonly standing: readonly AgentEvent[]
  readonly limits: HttpLimits
  /** The server begins to close. */
  readonly closing: AbortSignal
  /** Its head has been written. */
  readonly response: ServerResponse
  readonly start: FeedStart
  /** Only what belongs to this one. */
  readonly collection: string | undefined
}

/** Runs until the client leaves (`undefined`) or the stream is ended, and says why. The response has ended then. */
export async function runEventStream(options: EventStreamOptions): Promise<AgentError | undefined> {
  const { feed, events, role, standing, limits, closing, response, start, collection } = options
  const waker = createWaker()
  const reader = feed.createReader()
  const queue: AgentEvent[] = []
  let hasRoom = true
  let isGone = response.destroyed
  let ending: AgentError | undefined
  let sentAtMs = performance.now()
  let after = start.after
  /** What the client knows as its place. */
  let told = after

  const isOver = (): boolean => isGone || ending !== undefined
  const isBlocked = (): boolean => !hasRoom && !isOver()
  const end = (error: AgentError): void => {
    ending ??= error
    waker.wake()
  }
  const send = async (block: Block): Promise<void> => {
    if (isOver()) return
    sentAtMs = performance.now()
    hasRoom = response.write(toBlock(block))
    while (isBlocked()) await waker.wait(limits.eventsStallMs)
  }
  const keepAlive = (): Promise<void> => {
    // The place moves on also past changes that the filter keeps back.
    const place = told === after ? {} : { id: feed.cursorAt(after) }
    told = after
    return send({ comment: 'keep-alive', ...place })
  }
  const isSilent = (): boolean => performance.now() - sentAtMs >= limits.eventsKeepAliveMs

  const enqueue = (event: AgentEvent): void => {
    if (collection !== undefined && !(event.kind === 'sync' && event.collection === collection)) return
    if (queue.length >= limits.eventsQueuedMax) {
      return end(new AgentError('HS_SLOW_CONSUMER', `more than ${limits.eventsQueuedMax} events without an id were waiting`))
    }
    queue.push(event)
    waker.wake()
  }
  const onDrain = (): void => {
    hasRoom = true
    waker.wake()
  }
  const onGone = (): void => {
    isGone = true
    waker.wake()
  }
  const onClosing = (): void => end(new AgentError('HS_SHUTTING_DOWN', 'go on behind the last id when the agent is back'))
  // Whoever comes, or comes back to an agent that was started anew, knows from here on what it speaks to.
  enqueue({ kind: 'role', ...role() })
  for (const event of standing) enqueue(event)
  const releases = [events.subscribe(enqueue), feed.onMore(() => waker.wake())]
  response.on('drain', onDrain)
  response.on('close', onGone)
  closing.addEventListener('abort', onClosing)
  if (closing.aborted) onClosing()
  // Node starts this timer anew with every byte that the other side takes.
  response.setTimeout(limits.eventsStallMs, () => {
    if (!hasRoom) end(new AgentError('HS_SLOW_CONSUMER', `nothing was taken for ${limits.eventsStallMs / 1000} s`))
  })

  const sendQueued = async (): Promise<void> => {
    for (let event = queue.shift(); event !== undefined && !isOver(); event = queue.shift()) {
      await send({ event: event.kind, data: JSON.stringify(toEventJson(event)) })
    }
  }
  const sendChanges = async (): Promise<void> => {
    const page = await reader.read(after)
    for (const change of page.changes) {
      if (collection !== undefined && change.collection !== collection) continue
      told = change.sequence
      await send({ event: change.kind, id: feed.cursorAt(told), data: feed.lineOf(change) })
      if (isOver()) return
    }
    after = page.next
  }

  try {
    await send({ retryMs: limits.eventsRetryMs, id: feed.cursorAt(after) })
    if (start.reset !== undefined) {
      const cursor = feed.cursorAt(after)
      await send({ event: 'reset', id: cursor, data: JSON.stringify({ cursor, kind: 'reset', reason: start.reset }) })
    }
    let readAtMs = Number.NEGATIVE_INFINITY
    while (!isOver()) {
      await sendQueued()
      const gapMs = readAtMs + limits.eventsGapMs - performance.now()
      if (after < feed.end() && gapMs <= 0) {
        await sendChanges()
        // Only a stream that has caught up waits for more to come together.
        if (after >= feed.end()) readAtMs = performance.now()
      } else if (!isSilent()) {
        const silenceMs = sentAtMs + limits.eventsKeepAliveMs - performance.now()
        await waker.wait(after < feed.end() ? Math.min(gapMs, silenceMs) : silenceMs)
      }
      if (isSilent()) await keepAlive()
    }
  } catch (error) {
    end(new AgentError('HS_INTERNAL', 'the feed could not be read; the log of the agent says more', { cause: error }))
  } finally {
    for (const release of releases) release()
    closing.removeEventListener('abort', onClosing)
  }
  if (ending !== undefined) await sayEnd(response, ending, limits.closeMs)
  return ending
}

/** The last event. A client that does not take it within `ms` is cut off. */
async function sayEnd(response: ServerResponse, { code, detail }: AgentError, ms: number): Promise<void> {
  if (response.destroyed) return
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  response.once('close', resolve)
  const cut = setTimeout(() => response.destroy(), ms)
  response.end(toBlock({ event: 'end', data: JSON.stringify({ kind: 'end', code, detail }) }))
  await ended
  clearTimeout(cut)
}
