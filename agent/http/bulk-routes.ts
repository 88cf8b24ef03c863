/** Many records in one request: a JSON array, or NDJSON of any length in constant memory. */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { AgentError, type ErrorCode } from '../errors.ts'
import { splitJsonArray } from '../json-text.ts'
import { mediaTypeOf, NDJSON_TYPE, readChunks } from './body.ts'
import { isRequestWide, writeLines, type BulkLine, type LineResult } from './bulk-write.ts'
import type { HttpLimits } from './limits.ts'
import { createLineSplitter, type Line } from './line-splitter.ts'
import { RECORDS_ROUTE } from './listing-routes.ts'
import { checkName } from './path-key.ts'
import { sendProblem, toAgentError } from './problem.ts'
import { isFault, parseRecord } from './record-body.ts'
import { toVersionJson } from './record-json.ts'
import { accepts, type App, type RouteContext } from './route.ts'
import { asBytes, BulkAcknowledgement, BulkRecord, BulkResult, CollectionParams, WriteQuery } from './schemas.ts'

interface Rejection {
  readonly line: number
  readonly code: ErrorCode
  readonly detail: string
}

/** What a bulk write has come to. */
interface Tally {
  accepted: number
  rejected: Rejection[]
  rejected_count: number
}

export function addBulkRoutes(app: App, context: RouteContext): void {
  const { writer, bodies, limits } = context

  app.post(
    RECORDS_ROUTE,
    {
      schema: {
        operationId: 'putRecords',
        summary: 'Writes many records.',
        description:
          'A JSON array, or NDJSON streamed. Bad lines are rejected one by one and good ones kept. A missing key is made. ' +
          `With "Accept: ${NDJSON_TYPE}" each line is acknowledged once it is what the durability says, and the last line of the answer sums up.`,
        tags: ['records'],
        params: CollectionParams,
        querystring: WriteQuery,
        body: asBytes({ 'application/json': Type.Array(BulkRecord), [NDJSON_TYPE]: BulkRecord }),
        response: { 200: asBytes({ 'application/json': BulkResult, [NDJSON_TYPE]: BulkAcknowledgement }) },
      },
    },
    async (request, reply) => {
      const collection = checkName(request.params.name)
      const isStreamed = mediaTypeOf(request.raw) === NDJSON_TYPE
      const leave = context.enterStream()
      const write = (lines: AsyncIterable<Iterable<BulkLine>>): AsyncGenerator<readonly LineResult[]> =>
        writeLines({ write: writes => writer.write(writes, request.query.durability) }, collection, lines, limits)
      const answer = async (results: AsyncIterable<readonly LineResult[]>): Promise<FastifyReply> => {
        if (!accepts(request.headers.accept, NDJSON_TYPE)) return answerAtOnce(reply, results, limits)
        const acknowledgements = Readable.from(acknowledge(results, limits, context), { objectMode: false })
        const closed = new Promise(resolve => acknowledgements.once('close', resolve))
        void reply.code(200).type(NDJSON_TYPE).send(acknowledgements)
        await closed
        return reply
      }
      try {
        if (isStreamed) return await answer(write(streamedLines(request.raw, limits)))
        const tooLarge = `a JSON array of records has at most ${limits.arrayBytesMax} bytes; send more as ${NDJSON_TYPE}`
        return await bodies.withJsonText(request.raw, limits.arrayBytesMax, tooLarge, async text =>
          answer(write(inChunks(await parseArray(text, limits), limits.groupRecordsMax))),
        )
      } finally {
        leave()
      }
    },
  )
}

/** The lines of an NDJSON body, as they arrive. Throws when the body is cut off; its incomplete last line is then no line. */
async function* streamedLines(request: IncomingMessage, limits: HttpLimits): AsyncGenerator<Iterable<BulkLine>> {
  const splitter = createLineSplitter(limits.recordBytesMax)
  for await (const chunk of readChunks(request, limits.bodyIdleMs)) yield parseLines(splitter.push(chunk), limits)
  yield parseLines(splitter.end(), limits)
}

function* parseLines(lines: Iterable<Line>, { recordBytesMax }: HttpLimits): Generator<BulkLine> {
  for (const line of lines) {
    if ('text' in line) yield { line: line.line, record: parseRecord(line.text, 'record') }
    else if (line.fault === 'not-utf8')
      yield { line: line.line, record: { code: 'HS_INVALID_JSON', detail: 'the line is not valid UTF-8' } }
    else yield { line: line.line, record: { code: 'HS_TOO_LARGE', detail: `a line has at most ${recordBytesMax} bytes` } }
  }
}

/** The elements of a JSON array, numbered from 1. Throws when the text is not valid JSON: then nothing is written. */
async function parseArray(text: string, { arrayRecordsMax, groupRecordsMax }: HttpLimits): Promise<BulkLine[]> {
  const elements = splitJsonArray(text, arrayRecordsMax)
  if (elements === 'too-many') {
    throw new AgentError('HS_TOO_LARGE', `a JSON array holds at most ${arrayRecordsMax} records; send more as ${NDJSON_TYPE}`)
  }
  if (elements === 'not-an-array') throw new AgentError('HS_INVALID_JSON', 'the body is not a JSON array of records')
  const lines: BulkLine[] = []
  for (const [i, element] of elements.entries()) {
    const record = parseRecord(element, 'record')
    if (isFault(record) && record.code === 'HS_INVALID_JSON') throw new AgentError('HS_INVALID_JSON', `element ${i + 1}: ${record.detail}`)
    lines.push({ line: i + 1, record })
    // A long array must not keep everybody else waiting.
    if (lines.length % groupRecordsMax === 0) await nextTurn()
  }
  return lines
}

// oxlint-disable-next-line typescript/require-await -- writeLines reads chunks asynchronously
async function* inChunks(lines: readonly BulkLine[], size: number): AsyncGenerator<readonly BulkLine[]> {
  for (let at = 0; at < lines.length; at += size) yield lines.slice(at, at + size)
}

function createTally(): Tally {
  return { accepted: 0, rejected: [], rejected_count: 0 }
}

/** Counts results; throws the refusal that ends the whole request. */
function count(tally: Tally, results: readonly LineResult[], listedMax: number): void {
  for (const result of results) {
    if (result.ok) {
      tally.accepted += 1
      continue
    }
    if (isRequestWide(result.code)) throw new AgentError(result.code, `line ${result.line}: ${result.detail}`)
    tally.rejected_count += 1
    const { line, code, detail } = result
    if (tally.rejected.length < listedMax) tally.rejected.push({ line, code, detail })
  }
}

async function answerAtOnce(reply: FastifyReply, results: AsyncIterable<readonly LineResult[]>, limits: HttpLimits): Promise<FastifyReply> {
  const tally = createTally()
  try {
    for await (const group of results) count(tally, group, limits.rejectionsListedMax)
  } catch (error) {
    const fault = toAgentError(error)
    if (fault === undefined) throw error
    // What was accepted before stays: the client is told how much that is.
    return sendProblem(reply, fault.code, fault.detail, { ...tally })
  }
  return reply.code(200).send(tally)
}

/** One line an acknowledgement, as lines become durable; then `{accepted, rejected_count}`, with code and detail when it ended early. */
async function* acknowledge(
  results: AsyncIterable<readonly LineResult[]>,
  limits: HttpLimits,
  { log }: RouteContext,
): AsyncGenerator<Buffer> {
  const tally = createTally()
  let ending: object = {}
  try {
    for await (const group of results) {
      count(tally, group, limits.rejectionsListedMax)
      let text = ''
      for (const result of group) {
        text += result.ok
          ? `{"line":${result.line},"key":${JSON.stringify(result.key)},"version":${JSON.stringify(result.version && toVersionJson(result.version))}}\n`
          : `{"line":${result.line},"code":"${result.code}","detail":${JSON.stringify(result.detail)}}\n`
      }
      yield Buffer.from(text)
    }
  } catch (error) {
    const fault = toAgentError(error)
    if (fault === undefined) log.error({ err: error }, 'a bulk write failed')
    ending = { code: fault?.code ?? 'HS_INTERNAL', detail: fault?.detail ?? 'the agent failed in a way that it did not expect' }
  }
  yield Buffer.from(`${JSON.stringify({ accepted: tally.accepted, rejected_count: tally.rejected_count, ...ending })}\n`)
}
