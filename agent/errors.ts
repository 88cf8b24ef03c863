/**
 * The closed table of error codes: what the HTTP API answers, what the command line exits with, and one sentence for the user.
 * docs/errors.md is checked against it by a test.
 */
import type { RefusalCode } from '../sync/refusal.ts'

/** Exit statuses of the command line (sysexits.h for 69 and 78). */
export const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 69, badConfiguration: 78 } as const

interface ErrorEntry {
  /** HTTP status. */
  readonly status: number
  readonly exit: number
  /** The problem's title: one sentence. */
  readonly title: string
}

const entry = (status: number, title: string, exit: number = EXIT.failed): ErrorEntry => ({ status, exit, title })

export const ERRORS = {
  HS_INVALID_REQUEST: entry(400, 'The request does not have the expected form.'),
  HS_INVALID_JSON: entry(400, 'The body is not valid JSON.'),
  HS_INVALID_NAME: entry(400, 'The collection name is not allowed.'),
  HS_INVALID_KEY: entry(400, 'The key is not allowed.'),
  HS_INVALID_PAYLOAD: entry(400, 'The payload cannot be stored unchanged.'),
  HS_INVALID_VECTOR: entry(400, 'The vector cannot be stored or compared.'),
  HS_INVALID_SETTINGS: entry(400, 'The collection settings are not allowed.'),
  HS_INVALID_CURSOR: entry(400, 'The cursor was not made by this listing.'),
  HS_UNAUTHORIZED: entry(401, 'A valid token is required.'),
  HS_FORBIDDEN_HOST: entry(403, 'The Host or Origin header is not one of this agent.'),
  HS_NOT_FOUND: entry(404, 'There is no such thing here.'),
  HS_METHOD_NOT_ALLOWED: entry(405, 'The method is not allowed here.'),
  HS_TIMEOUT: entry(408, 'The request took too long to arrive.'),
  HS_SLOW_CONSUMER: entry(408, 'The client did not take its events in time.'),
  HS_COLLECTION_EXISTS: entry(409, 'The collection exists with other settings.'),
  HS_COLLECTION_LIMIT: entry(409, 'The agent holds as many collections as it may.'),
  HS_PRECONDITION_FAILED: entry(412, 'The record is not in the state that the request asks for.'),
  HS_TOO_LARGE: entry(413, 'The request or one of its parts is too large.'),
  HS_UNSUPPORTED_MEDIA_TYPE: entry(415, 'The content type is not one that this route takes.'),
  HS_BUSY: entry(429, 'The agent is doing as much of this as it may at once; try again.'),
  HS_INTERNAL: entry(500, 'The agent failed in a way that it did not expect; its log says more.'),
  HS_COLLECTION_FULL: entry(507, 'The collection holds as much as it may on this node.'),
  HS_DISK_FULL: entry(507, 'The disk has as little free as is kept in reserve; deletes are taken.'),
  HS_STORE_WRITE_FAILED: entry(503, 'The store could not make the write durable; nothing was acknowledged.'),
  HS_SHUTTING_DOWN: entry(503, 'The agent is stopping.'),
  HS_NOT_READY: entry(503, 'The agent is not ready to serve.'),
  HS_GOSSIP_DISABLED: entry(409, 'Gossip is off: set HS_GOSSIP_PORT or HS_GOSSIP_PEERS.'),
  HS_CONFIG_INVALID: entry(500, 'The configuration is not valid.', EXIT.badConfiguration),
  HS_BIND_FAILED: entry(500, 'A port could not be bound.'),
  HS_STORE_LOCKED: entry(500, 'The data directory is open in another process.'),
  HS_STORE_OPEN_FAILED: entry(500, 'The data directory could not be opened.'),
  HS_STORE_FORMAT: entry(500, 'The data directory was written by a newer version.'),
  HS_AGENT_UNREACHABLE: entry(503, 'No agent answers at this address.', EXIT.unreachable),
  HS_USAGE: entry(400, 'The command line is not understood.', EXIT.usage),
  HS_FILE_FAILED: entry(500, 'A file could not be read or written.'),
  HS_BACKUP_INVALID: entry(400, 'The backup is damaged, or not for this node.'),
  HS_STORE_EXISTS: entry(409, 'There is a database already.'),
  HS_PROOF_INVALID: entry(400, 'The proof does not hold.'),
  HS_NOT_IN_SYNC: entry(503, 'The deadline passed before everything was in sync.'),
} as const satisfies Record<string, ErrorEntry> & Record<RefusalCode, ErrorEntry>

export type ErrorCode = keyof typeof ERRORS

/** The one error class for callers' faults and the environment's. */
export class AgentError extends Error {
  override readonly name = 'AgentError'
  readonly code: ErrorCode
  readonly detail: string

  constructor(code: ErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.code = code
    this.detail = detail
  }
}
