/** What is not HTTP, or stops being it before a route is found: answered with a problem, then closed. */
import type { Socket } from 'node:net'
import { STATUS_CODES } from 'node:http'
import type { ErrorCode } from '../errors.ts'
import { PROBLEM_TYPE, toProblem } from './problem.ts'

export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || hasAnswered(socket)) {
    socket.destroy()
    return
  }
  const [code, detail] = explain(error)
  const problem = toProblem(code, detail)
  const body = JSON.stringify(problem)
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    'connection: close',
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

function explain({ code = '', message }: Error & { code?: string }): [ErrorCode, string] {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return ['HS_TIMEOUT', 'the headers of the request took too long']
    case 'HPE_HEADER_OVERFLOW':
      return ['HS_TOO_LARGE', 'the request line and headers are too long']
    case 'HPE_INVALID_EOF_STATE':
      return ['HS_INVALID_REQUEST', 'the connection ended inside a request']
    default:
      return ['HS_INVALID_REQUEST', `this is not HTTP: ${message}`]
  }
}

/** Whether an answer has begun on this socket: writing another one into it would garble both. Node keeps this to itself. */
function hasAnswered(socket: Socket): boolean {
  const answer: unknown = '_httpMessage' in socket ? socket._httpMessage : undefined
  return typeof answer === 'object' && answer !== null && 'headersSent' in answer && answer.headersSent === true
}
