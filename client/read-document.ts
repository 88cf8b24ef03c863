import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAgent } from '../agent/agent.ts'
import { createConfigError, loadConfig } from '../agent/config.ts'
import { version } from '../bin/version.ts'
import type { Document } from './document.ts'

/** The description that a real agent gives of itself. It lives for this question, in a temporary folder. */
export async function readDocument(): Promise<Document> {
  const folder = await mkdtemp(join(tmpdir(), 'hs-client-'))
  try {
    const loaded = loadConfig({ HS_HTTP_PORT: '0', HS_LOG_LEVEL: 'silent' }, { version, workingDirectory: folder })
    if (!loaded.ok) throw createConfigError(loaded.faults)
    const agent = await startAgent(loaded.config, { version, announce: () => {} })
    try {
      const answer = await fetch(`${agent.httpUrl}/api/openapi.json`)
      return (await answer.json()) as Document
    } finally {
      await agent.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
