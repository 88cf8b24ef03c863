/** What a failed command says and exits with: one sentence with its code, never a stack trace. */
import { AgentError, ERRORS, EXIT } from '../agent/errors.ts'
import { ApiProblem } from './api-client.ts'
import { printable } from './terminal.ts'
import type { ErrorCode } from '../agent/errors.ts'

export interface Failure {
  readonly exit: number
  /** For people: begins with the program's name; configuration faults have a line each. */
  readonly text: string
  /** For programs: the problem (RFC 9457). */
  readonly problem: Readonly<Record<string, unknown>>
}

const isErrorCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(ERRORS, code)

/** Total: whatever was thrown has an exit status and a sentence. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof ApiProblem) {
    const { code, detail, title } = error.problem
    const sentence = [detail, title, error.message].find(text => typeof text === 'string') ?? ''
    const exit = isErrorCode(code) ? ERRORS[code].exit : EXIT.failed
    return { exit, text: `hs-agent: ${printable(`${String(code)}: ${sentence}`)}`, problem: error.problem }
  }
  const { code, detail } =
    error instanceof AgentError ? error : ({ code: 'HS_INTERNAL', detail: error instanceof Error ? error.message : String(error) } as const)
  const { exit, status, title } = ERRORS[code]
  const lines = detail.split('\n').map(printable)
  const body = lines.length === 1 ? lines[0] : [title, ...lines.map(line => `  ${line}`)].join('\n')
  return { exit, text: `hs-agent: ${code}: ${body}`, problem: { title, status, code, detail } }
}
