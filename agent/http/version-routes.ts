/** Everything that is kept of a collection, versions and tombstones, as NDJSON: out of one agent, and into another. */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { MergedVersion, Replica } from '../../sync/replica.ts'
import { AgentError } from '../errors.ts'
import { systemHash } from '../ports.ts'
import { mediaTypeOf, NDJSON_TYPE, readChunks } from './body.ts'
import type { JsonFault } from './json-object.ts'
import type { HttpLimits } from './limits.ts'
import { createLineSplitter, type Line } from './line-splitter.ts'
import { checkName } from './path-key.ts'
import { createJsonWriter } from './record-json.ts'
import { findCollection, toldOfFailure, type App, type RouteContext } from './route.ts'
import { asBytes, CollectionParams } from './schemas.ts'
import { MergeResult, VersionLine } from './version-schema.ts'
import { parseHead, parseTail, parseVersionLine, writeHead, writeTail, writeVersionLine } from './version-lines.ts'

const VERSIONS_ROUTE = '/api/collections/:name/versions'
const tags = ['records']

export function addVersionRoutes(app: App, context: RouteContext): void {
  const { replica, limits, log } = context

  app.get(
    VERSIONS_ROUTE,
    {
      schema: {
        operationId: 'listVersions',
        summary: 'Everything that is kept of a collection: all versions of all keys, tombstones too.',
        description:
          'NDJSON from one snapshot: a head, a line for each version, and a last line with their number, without which it was cut off. For POST to the same path of another agent.',
        tags,
        params: CollectionParams,
        response: { 200: asBytes({ [NDJSON_TYPE]: VersionLine }) },
      },
    },
    (request, reply) => {
      const { name } = findCollection(context, request.params.name)
      void reply.type(NDJSON_TYPE)
      if (request.method === 'HEAD') return reply.send('')
      const leave = context.enterStream()
      const lines = toldOfFailure(log, 'an export', exportVersions(replica, name))
      return reply.send(Readable.from(lines, { objectMode: false }).once('close', leave))
    },
  )

  app.post(
    VERSIONS_ROUTE,
    {
      schema: {
        operationId: 'mergeVersions',
        summary: 'Merges exported versions, as a sync session would.',
        description:
          'The NDJSON of GET. Nothing that is here is written over by what is older, nothing that was deleted here comes back, and what is merged twice counts once. ' +
          'The collection is made where there is none; it must be of the same generation.',
        tags,
        params: CollectionParams,
        body: asBytes({ [NDJSON_TYPE]: VersionLine }),
        response: { 200: MergeResult },
      },
    },
    async (request, reply) => {
      const name = checkName(request.params.name)
      if (mediaTypeOf(request.raw) !== NDJSON_TYPE) throw new AgentError('HS_UNSUPPORTED_MEDIA_TYPE', `this route takes ${NDJSON_TYPE}`)
      const leave = context.enterStream()
      try {
        return await reply.send(await mergeLines(replica, name, request.raw, limits))
      } finally {
        leave()
      }
    },
  )
}

async function* exportVersions(replica: Replica, name: string): AsyncGenerator<Buffer> {
  const collection = replica.collection(name)
  if (collection === undefined) return
  const head = createJsonWriter()
  writeHead(head, collection)
  yield head.finish()
  let versions = 0
  for await (const page of replica.scanEntries(name, {})) {
    const writer = createJsonWriter()
    for (const { key, entry } of page) {
      for (const version of entry) writeVersionLine(writer, systemHash, key, version)
      versions += entry.length
    }
    yield writer.finish()
  }
  const tail = createJsonWriter()
  writeTail(tail, versions)
  yield tail.finish()
}

interface Merged {
  taken: number
  known: number
  refused: number
  readonly rejected: { readonly line: number; readonly code: string; readonly detail: string }[]
  rejected_count: number
  complete: boolean
}

/** Merges group by group. What was merged before a fault stays: merging it again changes nothing. */
async function mergeLines(replica: Replica, name: string, request: IncomingMessage, limits: HttpLimits): Promise<Merged> {
  const merged: Merged = { taken: 0, known: 0, refused: 0, rejected: [], rejected_count: 0, complete: false }
  let generation: number | undefined
  let lines = 0
  let announced: number | undefined
  let group: MergedVersion[] = []
  let groupBytes = 0

  const reject = (line: number, { code, detail }: JsonFault): void => {
    merged.rejected_count += 1
    if (merged.rejected.length < limits.rejectionsListedMax) merged.rejected.push({ line, code, detail })
  }
  const flush = async (): Promise<void> => {
    if (group.length === 0 || generation === undefined) return
    const done = await replica.mergeVersions(name, generation, group)
    group = []
    groupBytes = 0
    if (!done.ok) throw new AgentError(done.code, done.detail)
    if (done.unplaceable > 0) throw new AgentError('HS_NOT_FOUND', `"${name}" was deleted in the middle of it`)
    merged.taken += done.taken
    merged.known += done.known
    merged.refused += done.refused
  }
  const take = async (line: Line): Promise<void> => {
    if (announced !== undefined) throw new AgentError('HS_INVALID_REQUEST', `line ${line.line}: the export ended on the line before it`)
    if (generation === undefined) {
      const head = 'text' in line ? parseHead(line.text) : { code: 'HS_INVALID_REQUEST' as const, detail: 'the first line cannot be read' }
      if ('code' in head) throw new AgentError(head.code, head.detail)
      if (head.collection !== name) {
        throw new AgentError('HS_INVALID_REQUEST', `the versions are of "${head.collection}": they can be merged into that alone`)
      }
      const opened = await replica.openForVersions(name, head.generation, head.settings)
      if (!opened.ok) throw new AgentError(opened.code, opened.detail)
      generation = head.generation
      return
    }
    if ('text' in line) announced = parseTail(line.text)
    if (announced !== undefined) return
    lines += 1
    if (!('text' in line)) return reject(line.line, { code: 'HS_INVALID_JSON', detail: 'the line is not UTF-8, or too long' })
    const parsed = parseVersionLine(line.text, systemHash)
    if ('code' in parsed) return reject(line.line, parsed)
    group.push(parsed)
    groupBytes += parsed.bytes
    if (group.length >= limits.groupRecordsMax || groupBytes >= limits.groupBytesMax) await flush()
  }

  const splitter = createLineSplitter(limits.recordBytesMax)
  for await (const chunk of readChunks(request, limits.bodyIdleMs)) for (const line of splitter.push(chunk)) await take(line)
  for (const line of splitter.end()) await take(line)
  await flush()
  if (generation === undefined) throw new AgentError('HS_INVALID_REQUEST', 'the body is empty')
  merged.complete = announced === lines
  return merged
}
