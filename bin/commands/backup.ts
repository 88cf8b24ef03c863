import { BACKUP_TYPE, readBackup, type BackupCount } from '../../agent/backup/backup-file.ts'
import { defineCommand } from '../command.ts'
import { wrapFileError } from '../file-error.ts'
import { writeToFile } from '../output-file.ts'
import { startProgress } from '../progress.ts'
import { print, printable, printJson } from '../terminal.ts'
import { formatBytes, formatCount, formatDuration } from '../words.ts'

/** For the owner alone: it holds everything. */
const FILE_MODE = 0o600

/**
 * The chunks as they come, read as a backup at the same time: ends with an error where they are not a whole one. One chunk is handed to the reader
 * when the one before it has been taken, so none is held twice.
 */
async function* checked(chunks: AsyncIterable<Uint8Array>, count: BackupCount): AsyncGenerator<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const reading = (async () => {
    const { blocks } = await readBackup(readable)
    for await (const block of blocks) {
      count.rows += block.length
      for (const [key, value] of block) count.bytes += key.length + value.length
    }
  })()
  // Heard of below, or by what is written to a stream that nobody reads any more.
  reading.catch(() => {})
  try {
    for await (const chunk of chunks) {
      await Promise.race([writer.write(chunk), reading])
      yield chunk
    }
    await Promise.race([writer.close(), reading])
    await reading
  } catch (error) {
    await writer.abort(error).catch(() => {})
    await reading
    throw error
  }
}

export const backup = defineCommand({
  summary: 'Writes a backup of everything that the agent holds, while it runs',
  details:
    'As of the moment at which it begins. The file takes its name only when all of it is there and its checksums hold. It does not hold the keys of the ' +
    'node (identity.json, signing-key.pem) and the swarm.',
  positionals: ['file'],
  examples: ['hs-agent backup robot-7.hsbackup'],
  run: async ({ args, json, connect }) => {
    const answer = await (await connect()).stream('GET', '/api/backup', {}, BACKUP_TYPE)
    const count: BackupCount = { rows: 0, bytes: 0 }
    const progress = startProgress(process.stderr, () => ({ records: count.rows, bytes: count.bytes }), undefined)
    try {
      await writeToFile(args.file, checked(answer, count), FILE_MODE)
    } catch (error) {
      throw wrapFileError(args.file, error)
    } finally {
      progress.stop()
    }
    if (json) return printJson(count)
    const took = formatDuration(progress.elapsedMs())
    print(printable(`backed up ${formatCount(count.rows)} rows to ${args.file} (${formatBytes(count.bytes)} unpacked, in ${took})`))
  },
})
