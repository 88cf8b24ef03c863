/** Collects the settings of one call: command line, process environment, `--env-file`, `.env`, in this order of precedence. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { loadConfig } from '../agent/config.ts'
import { parseEnvFile } from '../agent/env-file.ts'
import { AgentError } from '../agent/errors.ts'
import { describeFileError } from './file-error.ts'
import { version } from './version.ts'
import type { ConfigFault, Environment } from '../agent/config.ts'
import type { LoadedSettings } from './command.ts'

/** More is not an environment file. */
const envFileBytesMax = 65_536

/** Variables with a word for where each came from. */
interface Layer {
  readonly env: Environment
  readonly sourceOf: (variable: string) => string
}

export interface SettingsRequest {
  readonly env: Environment
  readonly workingDirectory: string
  readonly url: string | undefined
  readonly token: string | undefined
  readonly envFile: string | undefined
}

/** Reads the files and all settings. A file that is asked for and cannot be read is a fault like any other. */
export async function loadSettings(request: SettingsRequest): Promise<LoadedSettings> {
  const faults: ConfigFault[] = []
  const sourceByOption: Readonly<Record<string, string>> = { HS_URL: '--url', HS_API_TOKEN: '--token' }
  const layers: Layer[] = [
    { env: { HS_URL: request.url, HS_API_TOKEN: request.token }, sourceOf: variable => sourceByOption[variable] ?? '' },
    { env: request.env, sourceOf: () => 'environment' },
  ]
  if (request.envFile !== undefined) layers.push(await readLayer(request.envFile, request.envFile, true, faults))
  layers.push(await readLayer(join(request.workingDirectory, '.env'), '.env', false, faults))

  const env: Record<string, string> = {}
  const sourceByVariable = new Map<string, string>()
  for (const layer of layers) {
    for (const [variable, value] of Object.entries(layer.env)) {
      if (value === undefined || value.trim() === '' || Object.hasOwn(env, variable)) continue
      env[variable] = value
      sourceByVariable.set(variable, layer.sourceOf(variable))
    }
  }
  const result = loadConfig(env, { version, workingDirectory: request.workingDirectory, sourceByVariable })
  if (faults.length === 0) return { result, sourceByVariable }
  return { result: { ok: false, faults: [...faults, ...(result.ok ? [] : result.faults)], warnings: result.warnings }, sourceByVariable }
}

async function readLayer(path: string, shownAs: string, isAskedFor: boolean, faults: ConfigFault[]): Promise<Layer> {
  const lineByVariable = new Map<string, number>()
  const env: Record<string, string> = {}
  try {
    const file = parseEnvFile(await readText(path))
    for (const { line, rule } of file.faults) faults.push({ variable: shownAs, rule: `line ${line}: ${rule}` })
    for (const { name, value, line } of file.entries) {
      // What a file says to other programs is not for us.
      if (!name.startsWith('HS_')) continue
      env[name] = value
      lineByVariable.set(name, line)
    }
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (isAskedFor || !isMissing) faults.push({ variable: shownAs, rule: `cannot be read: ${describeFileError(error)}` })
  }
  return { env, sourceOf: variable => `${shownAs} line ${lineByVariable.get(variable)}` }
}

async function readText(path: string): Promise<string> {
  const file = await open(path)
  try {
    const buffer = new Uint8Array(envFileBytesMax + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, length)
      length += bytesRead
      if (length > envFileBytesMax) throw new AgentError('HS_FILE_FAILED', `it has more than ${envFileBytesMax} bytes`)
      if (bytesRead === 0) return new TextDecoder().decode(buffer.subarray(0, length))
    }
  } finally {
    await file.close()
  }
}
