/**
 * LevelDB's repair does not look at the checksums of a log: what is damaged there would come back as rows, or end the process where a number
 * of a batch occurs twice. So damaged records are marked beforehand, by a type that LevelDB does not know and leaves out.
 */
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { LOG_BLOCK_BYTES, partsOf, TYPE_AT } from './level-log.ts'

const UNKNOWN_TYPE = Uint8Array.of(0x7f)
const LOG = /^\d+\.log$/

/** Marks what is damaged in the logs of a database that nobody has open. Doing it twice changes nothing. */
export async function markDamagedRecords(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter(each => LOG.test(each))) await markIn(join(folder, name))
}

async function markIn(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const block = Buffer.alloc(LOG_BLOCK_BYTES)
    for (let from = 0; ; from += LOG_BLOCK_BYTES) {
      const { bytesRead } = await file.read(block, 0, LOG_BLOCK_BYTES, from)
      if (bytesRead === 0) break
      for (const { at, isIntact } of partsOf(block.subarray(0, bytesRead)))
        if (!isIntact) await file.write(UNKNOWN_TYPE, 0, 1, from + at + TYPE_AT)
    }
    await file.datasync()
  } finally {
    await file.close()
  }
}
