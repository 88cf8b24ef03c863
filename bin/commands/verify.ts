import { createReadStream } from 'node:fs'
import { readBackup } from '../../agent/backup/backup-file.ts'
import { EXIT } from '../../agent/errors.ts'
import { saltOf } from '../../agent/salt.ts'
import { verifyDataDirectory } from '../../agent/verifying.ts'
import { defineCommand } from '../command.ts'
import { wrapFileError } from '../file-error.ts'
import { print, printable, printJson } from '../terminal.ts'
import { formatCount, formatTime } from '../words.ts'

export const verify = defineCommand({
  summary: 'Verifies the data directory, where no agent runs, or a backup: every checksum and every digest',
  details:
    'Of a running agent, `hs-agent sync --verify` asks the same. The exit status is 1 when something does not match; `hs-agent repair` mends it.',
  positionals: ['[file]'],
  examples: ['hs-agent verify', 'hs-agent verify robot-7.hsbackup'],
  run: async ({ args, json, config }) => {
    if (args.file !== undefined) return verifyBackup(args.file, json)
    const { dataDir, digestSalt } = await config()
    const verification = await verifyDataDirectory(dataDir, saltOf(digestSalt))
    const { faults, tables, collections, records } = verification
    if (json) printJson(verification)
    else if (faults.length > 0) for (const fault of faults) print(printable(fault))
    else
      print(
        `everything matches: ${formatCount(records)} records in ${formatCount(collections)} ${collections === 1 ? 'collection' : 'collections'}, tables: ${formatCount(tables)}, and the outage log`,
      )
    return faults.length > 0 ? EXIT.failed : EXIT.done
  },
})

async function verifyBackup(path: string, json: boolean): Promise<number> {
  try {
    const { header, blocks } = await readBackup(createReadStream(path) as AsyncIterable<Uint8Array>)
    let rows = 0
    for await (const block of blocks) rows += block.length
    if (json) printJson({ rows, node_id: header.nodeId, created_at: header.createdAtMs, version: header.version })
    else
      print(
        printable(
          `a whole backup of ${header.nodeName} (${header.nodeId}) as of ${formatTime(header.createdAtMs)}: ${formatCount(rows)} rows`,
        ),
      )
    return EXIT.done
  } catch (error) {
    throw wrapFileError(path, error)
  }
}
