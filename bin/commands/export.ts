import { AgentError } from '../../agent/errors.ts'
import { collectionPath, formatQuery } from '../api-client.ts'
import { defineCommand } from '../command.ts'
import { wrapFileError } from '../file-error.ts'
import { writeToFile } from '../output-file.ts'
import { startProgress } from '../progress.ts'
import { rangeOptions } from '../range.ts'
import { print, printable, printJson } from '../terminal.ts'
import { formatBytes, formatCount, formatDuration } from '../words.ts'

interface ExportCount {
  records: number
  bytes: number
}

const lineFeed = 10

async function* counted(chunks: AsyncIterable<Uint8Array>, count: ExportCount): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    count.bytes += chunk.length
    for (let at = chunk.indexOf(lineFeed); at !== -1; at = chunk.indexOf(lineFeed, at + 1)) count.records += 1
    yield chunk
  }
}

async function writeToOutput(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of chunks) {
    if (!process.stdout.write(chunk)) await new Promise(resolve => process.stdout.once('drain', resolve))
  }
}

export const exportRecords = defineCommand({
  summary: 'Writes all records of a collection to a file or standard output',
  details:
    'One record a line (NDJSON), in the order of the keys, as import takes them. A file is replaced only once the export is whole. With --versions it is ' +
    'everything that is kept, one version a line: concurrent ones, tombstones, and what their writers had seen, for import --versions.',
  positionals: ['collection', '[file]'],
  options: { ...rangeOptions, versions: { type: 'boolean', doc: 'All versions and tombstones of the whole collection' } },
  examples: [
    'hs-agent export odometry odometry.ndjson',
    'hs-agent export odometry --prefix robot1/ | gzip > robot1.ndjson.gz',
    'hs-agent export map map.versions.ndjson --versions',
  ],
  run: async ({ args, options, json, connect }) => {
    const { prefix, from, to, versions: isVersions } = options
    if (isVersions && (prefix ?? from ?? to) !== undefined) {
      throw new AgentError('HS_USAGE', 'versions are exported of a whole collection: without --prefix, --from and --to')
    }
    const path = isVersions
      ? collectionPath(args.collection, 'versions')
      : collectionPath(args.collection, 'records') + formatQuery({ prefix, from, to })
    const answer = await (await connect()).stream('GET', path)
    const count: ExportCount = { records: 0, bytes: 0 }
    const chunks = counted(answer, count)
    const isToFile = args.file !== undefined && args.file !== '-'
    // Lines on the terminal and a changing line among them would garble one another.
    const progress = isToFile || !process.stdout.isTTY ? startProgress(process.stderr, () => count, undefined) : undefined
    try {
      if (args.file === undefined || args.file === '-') await writeToOutput(chunks)
      else await writeToFile(args.file, chunks)
    } catch (error) {
      throw wrapFileError(args.file ?? '-', error)
    } finally {
      progress?.stop()
    }
    // Head and tail.
    if (isVersions) count.records -= 2
    if (!isToFile) return
    if (json) printJson(count)
    else
      print(
        printable(
          `exported ${formatCount(count.records)} ${isVersions ? 'versions' : 'records'} to ${args.file} (${formatBytes(count.bytes)} in ${formatDuration(progress?.elapsedMs())})`,
        ),
      )
  },
})
