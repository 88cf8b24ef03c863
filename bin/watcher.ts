/** Follows an agent's events for as long as it is wanted: comes back by itself after a loss, and goes on where it was. */
import { setTimeout as delay } from 'node:timers/promises'
import { AgentError, type ErrorCode } from '../agent/errors.ts'
import { eventsType, formatQuery, isObject, mayPass, type ApiClient } from './api-client.ts'
import { readEvents } from './event-source.ts'

/** The agent says something every 15 s; longer silence means that it is gone, or that the network is. */
const silenceMs = 45_000
const backoffMsMin = 250
const backoffMsMax = 10_000

export interface WatchedEvent {
  readonly kind: string
  /** As the agent wrote it. */
  readonly text: string
  readonly data: Readonly<Record<string, unknown>>
}

export interface WatchOptions {
  readonly api: ApiClient
  readonly collection: string | undefined
  /** A cursor, or 0; undefined: from now on. */
  readonly since: string | undefined
  /** Ends the watching. */
  readonly signal: AbortSignal
  /** The agent is lost, and why: it is tried again until it answers. */
  readonly onLost: (error: unknown) => void
  readonly onBack: () => void
}

export interface Watch {
  /** Throws when the first try fails, and what no further try would change. */
  readonly events: AsyncGenerator<WatchedEvent>
  /** Behind what has been yielded; undefined until the agent has told it. */
  cursor(): string | undefined
}

export function watchEvents(options: WatchOptions): Watch {
  const { api, collection, signal } = options
  let cursor = options.since
  let hasAnswered = false
  let isLost = false
  /** The role event that was yielded last: every connection begins with one, and only another one is news. */
  let role: string | undefined
  let backoffMs = backoffMsMin

  /** One connection. Returns why it ended, when the agent said so. */
  async function* connection(): AsyncGenerator<WatchedEvent, AgentError> {
    const path = `/api/events${formatQuery({ collection, since: cursor })}`
    const stream = await api.stream('GET', path, { signal, silenceMs }, eventsType)
    if (isLost) options.onBack()
    isLost = false
    hasAnswered = true
    for await (const { event, id, data } of readEvents(stream)) {
      backoffMs = backoffMsMin
      const parsed: unknown = data === undefined ? undefined : JSON.parse(data)
      if (event === 'end') return toError(parsed)
      const isNews = event !== 'role' || data !== role
      if (event === 'role') role = data
      if (event !== undefined && data !== undefined && isObject(parsed) && isNews) yield { kind: event, text: data, data: parsed }
      cursor = id ?? cursor
    }
    return new AgentError('HS_AGENT_UNREACHABLE', 'the stream ended')
  }

  async function* events(): AsyncGenerator<WatchedEvent> {
    while (!signal.aborted) {
      let reason: unknown
      try {
        reason = yield* connection()
      } catch (error) {
        if (signal.aborted) return
        if (!hasAnswered || !mayPass(error)) throw error
        reason = error
      }
      if (signal.aborted) return
      if (!isLost) options.onLost(reason)
      isLost = true
      // Many watchers of one agent must not all come back in the same moment.
      await delay(backoffMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {})
      backoffMs = Math.min(backoffMsMax, backoffMs * 2)
    }
  }

  return { events: events(), cursor: () => cursor }
}

function toError(end: unknown): AgentError {
  const { code, detail } = isObject(end) ? end : {}
  const known: ErrorCode = code === 'HS_SLOW_CONSUMER' || code === 'HS_SHUTTING_DOWN' ? code : 'HS_AGENT_UNREACHABLE'
  return new AgentError(known, typeof detail === 'string' ? detail : 'the agent ended the stream')
}
