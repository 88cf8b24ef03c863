import { open } from 'node:fs/promises'
import { collectionPath, isObject, ndjsonType, type ApiClient } from '../api-client.ts'
import { readAcknowledgements } from '../acknowledgements.ts'
import { defineCommand } from '../command.ts'
import { wrapFileError } from '../file-error.ts'
import { ratePerSecond, startProgress } from '../progress.ts'
import { createLineCount, readRecordLines } from '../record-lines.ts'
import { print, printable, printError, printJson } from '../terminal.ts'
import { formatBytes, formatCount, formatDuration } from '../words.ts'
import { AgentError, EXIT } from '../../agent/errors.ts'
import type { ImportTally, Rejection } from '../acknowledgements.ts'

/** Rejections that are printed; all are counted, and --rejected keeps all. */
const rejectionsShownMax = 100
const chunkBytes = 256 * 1024

interface Source {
  /** For errors. */
  readonly name: string
  readonly chunks: AsyncIterable<Uint8Array>
  /** Undefined where the end is not known. */
  readonly bytesTotal: number | undefined
  close(): Promise<void>
}

async function openSource(path: string): Promise<Source> {
  if (path === '-') {
    const input = process.stdin
    // Waiting for more input must not keep the program up once the agent has ended the import.
    return { name: 'standard input', chunks: input, bytesTotal: undefined, close: async () => void input.destroy() }
  }
  try {
    const file = await open(path)
    const found = await file.stat()
    const chunks = file.createReadStream({ highWaterMark: chunkBytes, autoClose: false })
    return { name: path, chunks, bytesTotal: found.isFile() ? found.size : undefined, close: () => file.close() }
  } catch (error) {
    throw wrapFileError(path, error)
  }
}

/** Where all rejections go, a line of JSON each. */
async function openRejectionFile(path: string | undefined): Promise<{ add(rejection: Rejection): Promise<void>; close(): Promise<void> }> {
  if (path === undefined) return { add: async () => {}, close: async () => {} }
  try {
    const file = await open(path, 'w')
    return { add: async rejection => void (await file.write(`${JSON.stringify(rejection)}\n`)), close: () => file.close() }
  } catch (error) {
    throw wrapFileError(path, error)
  }
}

export const importRecords = defineCommand({
  summary: 'Writes many records from a file or standard input',
  details:
    'FILE holds a record a line, {"key","payload","vector"} or {"key","data","content_type"}, or one JSON array of them; - or nothing is ' +
    'standard input. Records without a key get one. Bad lines are rejected one by one and good ones kept; the exit status is then 1. ' +
    'With --versions FILE is of export --versions: nothing that is here is written over by what is older, nothing deleted here comes back, and what ' +
    'is imported twice counts once.',
  positionals: ['collection', '[file]'],
  options: {
    rejected: { type: 'string', value: 'FILE', doc: 'Write all rejections to a file, {"line","code","detail"} a line' },
    versions: { type: 'boolean', doc: 'Merge exported versions and tombstones as they are' },
  },
  examples: ['hs-agent import odometry odometry.ndjson', `producer | hs-agent import odometry - --json`],
  run: async ({ args, options, json, connect }) => {
    const api = await connect()
    if (options.versions) {
      if (options.rejected !== undefined) throw new AgentError('HS_USAGE', '--rejected is for records: rejected versions are listed')
      return mergeVersions(api, args.collection, await openSource(args.file ?? '-'), json)
    }
    const source = await openSource(args.file ?? '-')
    const rejections = await openRejectionFile(options.rejected)
    const count = createLineCount()
    const tally: ImportTally = { accepted: 0, rejectedCount: 0, line: 0 }
    const shown: Rejection[] = []
    // Much is read ahead of what is durable: of the bytes read, those of the lines that were answered.
    const answered = (): number => Math.round((count.bytes * tally.line) / Math.max(1, count.lines))
    const progress = startProgress(process.stderr, () => ({ records: tally.accepted, bytes: answered() }), source.bytesTotal)
    let isAnswered = false
    let failure: unknown
    try {
      const body = readRecordLines(source.chunks, source.name, count)
      const answer = await api.stream('POST', collectionPath(args.collection, 'records'), { body, headers: { 'content-type': ndjsonType } })
      isAnswered = true
      for await (const rejection of readAcknowledgements(answer, tally)) {
        if (shown.length < rejectionsShownMax) shown.push(rejection)
        await rejections.add(rejection)
      }
    } catch (error) {
      failure = error
    } finally {
      progress.stop()
      await source.close()
      await rejections.close()
    }
    if (!isAnswered && failure !== undefined) throw failure
    report(tally, shown, count.bytes, progress.elapsedMs(), json)
    failure ??= count.fault
    if (failure !== undefined) throw failure
    return tally.rejectedCount === 0 ? EXIT.done : EXIT.failed
  },
})

function report(tally: ImportTally, shown: readonly Rejection[], bytes: number, elapsedMs: number, json: boolean): void {
  const { accepted, rejectedCount, line } = tally
  if (json) {
    printJson({ accepted, rejected_count: rejectedCount, rejected: shown, last_line: line, bytes, elapsed_ms: Math.round(elapsedMs) })
    return
  }
  for (const { line, code, detail } of shown) printError(printable(`line ${line}: ${code}: ${detail}`))
  if (rejectedCount > shown.length) {
    printError(`... and ${formatCount(rejectedCount - shown.length)} more rejected lines; --rejected FILE keeps all of them`)
  }
  const pace = `${formatBytes(bytes)} in ${formatDuration(elapsedMs)}, ${formatCount(ratePerSecond(accepted, elapsedMs))}/s`
  print(`accepted ${formatCount(accepted)}, rejected ${formatCount(rejectedCount)} (${pace})`)
}

/** Sends exported versions; the answer comes when all of them are merged. */
async function mergeVersions(api: ApiClient, collection: string, source: Source, json: boolean): Promise<number> {
  const count = createLineCount()
  const progress = startProgress(process.stderr, () => ({ records: count.lines, bytes: count.bytes }), source.bytesTotal)
  try {
    const body = readRecordLines(source.chunks, source.name, count)
    const { body: answer } = await api.send('POST', collectionPath(collection, 'versions'), {
      body,
      headers: { 'content-type': ndjsonType },
    })
    if (!isObject(answer)) throw new AgentError('HS_INTERNAL', 'the answer is not understood')
    progress.stop()
    if (json) printJson({ ...answer })
    else {
      for (const rejection of Array.isArray(answer['rejected']) ? answer['rejected'] : []) {
        if (isObject(rejection))
          printError(printable(`line ${String(rejection['line'])}: ${String(rejection['code'])}: ${String(rejection['detail'])}`))
      }
      const [taken, known, refused, rejected] = ['taken', 'known', 'refused', 'rejected_count'].map(name =>
        formatCount(Number(answer[name])),
      )
      print(
        `merged ${taken}, known already ${known}, not kept here ${refused}, rejected ${rejected} ` +
          `(${formatBytes(count.bytes)} in ${formatDuration(progress.elapsedMs())})`,
      )
    }
    if (count.fault !== undefined) throw count.fault
    if (answer['complete'] !== true) throw new AgentError('HS_INVALID_REQUEST', 'the export is not whole: what there is of it is merged')
    return answer['rejected_count'] === 0 ? EXIT.done : EXIT.failed
  } finally {
    progress.stop()
    await source.close()
  }
}
