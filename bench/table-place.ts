/** Puts a table between the two lines of a document that name what writes it. */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** `words`: the command, as in the two lines around the place. `document`: in docs. */
export async function writeTable(words: string, table: string, document = 'benchmarks.md'): Promise<void> {
  const path = fileURLToPath(new URL(`../docs/${document}`, import.meta.url))
  const text = await readFile(path, 'utf8')
  const begin = `<!-- figures: written by ${words} -->`
  const [from, to] = [text.indexOf(begin), text.indexOf(`<!-- end of figures: written by ${words} -->`)]
  if (from === -1 || to === -1) throw new Error(`docs/${document} has no place for the figures of ${words}`)
  await writeFile(path, `${text.slice(0, from)}${begin}\n\n${table}\n\n${text.slice(to)}`)
}
