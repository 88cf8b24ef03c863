/** `npm run client`: writes client/hs-agent-client.ts anew. */
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { writeClient } from './client-source.ts'
import { readDocument } from './read-document.ts'

export const CLIENT_PATH = fileURLToPath(new URL('hs-agent-client.ts', import.meta.url))
const FORMATTER = fileURLToPath(new URL('../node_modules/.bin/oxfmt', import.meta.url))

/** The client's source as it should be, formatted like all other sources. */
export async function generateClient(): Promise<string> {
  const source = writeClient(await readDocument())
  return execFileSync(FORMATTER, ['--stdin-filepath', CLIENT_PATH], { input: source, encoding: 'utf8' })
}

if (import.meta.main) await writeFile(CLIENT_PATH, await generateClient())
