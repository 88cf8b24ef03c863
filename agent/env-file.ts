/**
 * Environment files: `NAME=value` lines, as dotenv and systemd's EnvironmentFile write them.
 *
 * Blank lines and lines that begin with `#` or `;` count for nothing, `export` before a name neither. A plain value ends at
 * ` #`; single quotes keep everything between them; double quotes know `\n`, `\t`, `\"`, `\\` and `\$`. Quoted values may
 * span lines. Nothing is expanded. Of two lines with one name the later one holds.
 */

export interface EnvEntry {
  readonly name: string
  readonly value: string
  /** Where the entry begins, from 1. */
  readonly line: number
}

export interface EnvFile {
  readonly entries: readonly EnvEntry[]
  readonly faults: readonly { readonly line: number; readonly rule: string }[]
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' }

const nothing = /^[ \t]*(?:[#;][^\n]*)?(?:\n|$)/
const beginning = /^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*/
const doubleQuoted = /^"((?:[^"\\]|\\[\s\S])*)"/
const singleQuoted = /^'([^']*)'/
const restOfLine = /^[^\n]*\n?/

/** What stands at the beginning of a text: an entry, a fault, or neither; and how many characters it takes, at least one. */
interface Read {
  readonly length: number
  readonly entry?: { readonly name: string; readonly value: string }
  readonly rule?: string
}

function readNext(text: string): Read {
  const line = restOfLine.exec(text)?.[0] ?? ''
  if (nothing.test(line)) return { length: line.length }
  const head = beginning.exec(line)
  const name = head?.[1]
  if (head === null || name === undefined) return { length: line.length, rule: 'must be NAME=value, a comment or blank' }

  const value = text.slice(head[0].length)
  const quote = value[0]
  if (quote !== '"' && quote !== "'") {
    const plain = line.slice(head[0].length).replace(/(?:^|[ \t])#.*/, '')
    return { length: line.length, entry: { name, value: plain.trim() } }
  }
  const quoted = (quote === '"' ? doubleQuoted : singleQuoted).exec(value)
  if (quoted === null) return { length: line.length, rule: `${name} has a quote that does not end` }
  const tail = restOfLine.exec(value.slice(quoted[0].length))?.[0] ?? ''
  const length = head[0].length + quoted[0].length + tail.length
  if (!/^[ \t]*(?:#.*)?\n?$/.test(tail)) return { length, rule: `${name} has text behind its closing quote` }
  const body = quoted[1] ?? ''
  const unescaped = body.replace(/\\([\s\S])/g, (_, letter: string) => escapes[letter] ?? letter)
  return { length, entry: { name, value: quote === '"' ? unescaped : body } }
}

/** Reads a whole file. Total: what cannot be read is a fault with its line, and reading goes on behind it. */
export function parseEnvFile(source: string): EnvFile {
  const entries: EnvEntry[] = []
  const faults: { line: number; rule: string }[] = []
  let rest = source.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
  let line = 1
  while (rest !== '') {
    const { length, entry, rule } = readNext(rest)
    if (entry !== undefined) entries.push({ ...entry, line })
    if (rule !== undefined) faults.push({ line, rule })
    line += rest.slice(0, length).split('\n').length - 1
    rest = rest.slice(length)
  }
  return { entries, faults }
}
