/** The system's errors about files, in words. */
import { getSystemErrorMessage } from 'node:util'
import { AgentError } from '../agent/errors.ts'

/** Why a file could not be read or written: half a sentence, such as "no such file or directory". */
export function describeFileError(error: unknown): string {
  if (error instanceof AgentError) return error.detail
  if (!(error instanceof Error)) return String(error)
  const number = 'errno' in error && typeof error.errno === 'number' ? error.errno : undefined
  return number === undefined ? error.message : (getSystemErrorMessage(number) ?? error.message)
}

/** HS_FILE_FAILED for an error of the system; every other error as it is. */
export function wrapFileError(path: string, error: unknown): unknown {
  const isSystemError = error instanceof Error && 'syscall' in error && 'errno' in error
  return isSystemError ? new AgentError('HS_FILE_FAILED', `${path}: ${describeFileError(error)}`, { cause: error }) : error
}
