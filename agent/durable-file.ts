/** Small files that a power cut leaves whole: the old one or the new one. */
import { constants } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Replaces a file, readable by its owner alone; durable when it resolves. */
export async function writeDurably(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.new`
  const file = await open(temporary, 'w', 0o600)
  try {
    // A file that an earlier, interrupted call has left keeps the mode it had.
    await file.chmod(0o600)
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncFolder(dirname(path))
}

/** Removes a file, if it is there; it does not return. */
export async function removeDurably(path: string): Promise<void> {
  await rm(path, { force: true })
  await syncFolder(dirname(path))
}

/** What was made, renamed or removed in it is durable when it resolves. */
export async function syncFolder(folder: string): Promise<void> {
  const directory = await open(folder, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/**
 * The text of a file of at most `bytesMax` bytes; undefined when there is none. Throws an Error with the reason when it is larger, or no
 * file: a pipe in its place is not waited for.
 */
export async function readSmallFile(path: string, bytesMax: number): Promise<string | undefined> {
  let file
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    const status = await file.stat()
    const { size } = status
    if (!status.isFile()) throw new Error('it is not a file')
    if (size > bytesMax) throw new Error(`it has ${size} bytes, and the most is ${bytesMax}`)
    // Read no further than that, should it grow meanwhile.
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0)
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, bytesRead))
  } finally {
    await file.close()
  }
}
