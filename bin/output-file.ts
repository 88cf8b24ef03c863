/** Files that a command writes. */
import { unlinkSync } from 'node:fs'
import { open, rename, stat, unlink } from 'node:fs/promises'

/** Writes beside the file and takes its name at the end: the file is the old one or the whole new one, whatever happens between. */
export async function writeToFile(path: string, chunks: AsyncIterable<Uint8Array>, mode = 0o666): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  // A pipe or a device has no old content to keep.
  const isReplaced = found === undefined || found.isFile()
  const target = isReplaced ? `${path}.part-${process.pid}` : path
  const removeOnSignal = (): void => {
    if (isReplaced) unlinkSync(target)
    process.exit(130)
  }
  const file = await open(target, 'w', mode)
  try {
    process.once('SIGINT', removeOnSignal)
    process.once('SIGTERM', removeOnSignal)
    for await (const chunk of chunks) await file.writeFile(chunk)
    if (!isReplaced) return
    await file.sync()
    await rename(target, path)
  } catch (error) {
    if (isReplaced) await unlink(target).catch(() => undefined)
    throw error
  } finally {
    await file.close()
    process.off('SIGINT', removeOnSignal)
    process.off('SIGTERM', removeOnSignal)
  }
}
