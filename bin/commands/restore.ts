import { createReadStream } from 'node:fs'
import { restoreBackup } from '../../agent/backup/restore.ts'
import { systemRandom } from '../../agent/ports.ts'
import { saltIdOf } from '../../agent/salt.ts'
import { defineCommand } from '../command.ts'
import { wrapFileError } from '../file-error.ts'
import { startProgress } from '../progress.ts'
import { print, printable, printJson } from '../terminal.ts'
import { formatBytes, formatCount, formatDuration, formatTime } from '../words.ts'

export const restore = defineCommand({
  summary: 'Restores a backup into the data directory, where no agent runs',
  details:
    'The data directory is that of HS_DATA_DIR. What it has besides the database stays: the node keeps its id and keys, a new one makes some at its start. ' +
    'The restored copy writes under a new origin, and gets from its peers what is newer than the backup.',
  positionals: ['file'],
  options: { replace: { type: 'boolean', doc: 'Move the database that is there aside (quarantine-<time>), and restore in its place' } },
  examples: ['hs-agent restore robot-7.hsbackup', 'HS_DATA_DIR=/var/lib/hs-agent hs-agent restore --replace robot-7.hsbackup'],
  run: async ({ args, options, json, config }) => {
    const { dataDir, digestSalt } = await config()
    const count = { rows: 0, bytes: 0 }
    const progress = startProgress(process.stderr, () => ({ records: count.rows, bytes: count.bytes }), undefined)
    try {
      const { header, quarantine } = await restoreBackup({
        dataDir,
        chunks: createReadStream(args.file) as AsyncIterable<Uint8Array>,
        saltId: saltIdOf(digestSalt),
        random: systemRandom,
        wallMs: Date.now(),
        isReplacing: options.replace === true,
        count,
      })
      progress.stop()
      if (json) return printJson({ ...count, node_id: header.nodeId, created_at: header.createdAtMs, quarantine: quarantine ?? null })
      const from = `${header.nodeName} (${header.nodeId}) as of ${formatTime(header.createdAtMs)}`
      print(
        printable(
          `restored ${formatCount(count.rows)} rows of ${from} (${formatBytes(count.bytes)}, in ${formatDuration(progress.elapsedMs())})`,
        ),
      )
      if (quarantine !== undefined) print(printable(`the former database is in ${dataDir}/${quarantine}`))
    } catch (error) {
      throw wrapFileError(args.file, error)
    } finally {
      progress.stop()
    }
  },
})
