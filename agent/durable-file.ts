/** Small files that a power cut leaves whole: the old one or the new one. */
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Replaces a file, readable by its owner alone; durable when it resolves. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`
  const file = await open(temporary, 'w', 0o600)
  try {
    // A file that an earlier, interrupted call has left keeps the mode it had.
    await file.chmod(0o600)
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
