/** What every file of routes gets. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault } from 'fastify'
import type { CollectionView } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'
import type { BodyReader } from './body.ts'
import type { ChangeFeed } from './change-feed.ts'
import type { HttpLimits } from './limits.ts'
import { checkName } from './path-key.ts'
import type { HttpOptions } from './port.ts'

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

export interface RouteContext extends HttpOptions {
  readonly limits: HttpLimits
  readonly bodies: BodyReader
  /** Admits a bulk write or an export; returns what ends its stay. Throws HS_BUSY. */
  readonly enterStream: () => () => void
  readonly feed: ChangeFeed
  /** Admits an event stream or a long poll, as above. */
  readonly enterEvents: () => () => void
  /** Aborts when the server begins to close: what waits for something ends then. */
  readonly closing: AbortSignal
}

/** Counts those inside; refuses more than `max` of `what`. The function that it returns may be called twice. */
export function createGate(max: number, what: string): () => () => void {
  const inside = new Set<object>()
  return () => {
    if (inside.size >= max) throw new AgentError('HS_BUSY', `${max} ${what} are running, which is the most at once`)
    const token = {}
    inside.add(token)
    return () => void inside.delete(token)
  }
}

/** The collection of a path. Throws HS_INVALID_NAME or HS_NOT_FOUND. */
export function findCollection({ replica }: RouteContext, name: string): CollectionView {
  const collection = replica.collection(checkName(name))
  if (collection === undefined) throw new AgentError('HS_NOT_FOUND', `there is no collection ${name}`)
  return collection
}

/** A body that is streamed. Its client sees a failure as one that is cut off, since the status has gone out long ago: so the log tells of it. */
export async function* toldOfFailure(log: RouteContext['log'], what: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* chunks
  } catch (error) {
    log.error({ err: error }, `${what} failed`)
    throw error
  }
}

/** Whether the Accept header names a media type, with whatever parameters. */
export function accepts(header: string | undefined, type: string): boolean {
  return (header ?? '').split(',').some(part => part.split(';', 1)[0]?.trim().toLowerCase() === type)
}
