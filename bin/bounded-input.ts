/** Reads a whole file or standard input, up to a bound. */
import { createReadStream } from 'node:fs'
import { AgentError } from '../agent/errors.ts'
import { wrapFileError } from './file-error.ts'

/** A file, or standard input for `-`. Throws HS_TOO_LARGE beyond `bytesMax`, HS_FILE_FAILED when it cannot be read. */
export async function readBounded(path: string, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    const source: AsyncIterable<Uint8Array> = path === '-' ? process.stdin : createReadStream(path)
    for await (const chunk of source) {
      length += chunk.length
      if (length > bytesMax)
        throw new AgentError('HS_TOO_LARGE', `${path === '-' ? 'standard input' : path} has more than ${bytesMax} bytes`)
      chunks.push(chunk)
    }
  } catch (error) {
    throw wrapFileError(path, error)
  }
  return Buffer.concat(chunks)
}
