/** Puts a table between the lines of docs/benchmarks.md that name what writes it. */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const documentPath = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url))

/** `words`: the command, as in the two lines around the place. */
export async function writeTable(words: string, table: string): Promise<void> {
  const text = await readFile(documentPath, 'utf8')
  const begin = `<!-- figures: written by ${words} -->`
  const [from, to] = [text.indexOf(begin), text.indexOf(`<!-- end of figures: written by ${words} -->`)]
  if (from === -1 || to === -1) throw new Error(`${documentPath} has no place for the figures of ${words}`)
  await writeFile(documentPath, `${text.slice(0, from)}${begin}\n\n${table}\n\n${text.slice(to)}`)
}
