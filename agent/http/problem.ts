/** Errors as the API shows them: problem+json (RFC 9457) from the one table of codes. */
import type { FastifyReply } from 'fastify'
import { AgentError, ERRORS, type ErrorCode } from '../errors.ts'

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

const RETRY_AFTER_SECS = 1

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: ErrorCode
  readonly instance?: string
}

export function toProblem(code: ErrorCode, detail: string, instance?: string): Problem {
  const { title, status } = ERRORS[code]
  return { type: `urn:hs-agent:problem:${code}`, title, status, detail, code, ...(instance === undefined ? {} : { instance }) }
}

/** Answers with a problem. `extensions` are further members of it (RFC 9457, section 3.2). */
export function sendProblem(reply: FastifyReply, code: ErrorCode, detail: string, extensions: object = {}): FastifyReply {
  const problem = { ...toProblem(code, detail, reply.request.url.split('?', 1)[0]), ...extensions }
  if (code === 'HS_UNAUTHORIZED') void reply.header('www-authenticate', 'Bearer')
  if (problem.status === 503 || problem.status === 429) void reply.header('retry-after', RETRY_AFTER_SECS)
  return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem))
}

/** What an exception of a handler or of the framework says about the request; undefined when it is the agent's own failure. */
export function toAgentError(error: unknown): AgentError | undefined {
  if (error instanceof AgentError) return error
  if (!(error instanceof Error)) return undefined
  const code = 'code' in error ? error.code : undefined
  const status = 'statusCode' in error ? error.statusCode : undefined
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
    return new AgentError('HS_INVALID_REQUEST', 'the connection ended before the body did', { cause: error })
  }
  if (code === 'FST_ERR_BAD_URL') return new AgentError('HS_INVALID_REQUEST', 'the path has a percent escape that is not valid UTF-8')
  if (status === 413) return new AgentError('HS_TOO_LARGE', error.message)
  if (status === 415)
    return new AgentError(
      'HS_UNSUPPORTED_MEDIA_TYPE',
      'the body needs a content-type header that this route takes, for example application/json',
    )
  if (typeof status === 'number' && status >= 400 && status < 500) return new AgentError('HS_INVALID_REQUEST', error.message)
  return undefined
}
