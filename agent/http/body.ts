/** Bodies: read in bounded time and memory, as raw bytes, and taken for text only when they are UTF-8. */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { AgentError } from '../errors.ts'

export const JSON_TYPE = 'application/json'
export const NDJSON_TYPE = 'application/x-ndjson'

/** The media type of a body, without parameters, in lower case; undefined without a content-type header. Refuses what cannot be read. */
export function mediaTypeOf({ headers }: IncomingMessage): string | undefined {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new AgentError('HS_UNSUPPORTED_MEDIA_TYPE', `bodies are not decompressed (content-encoding: ${encoding})`)
  }
  const header = headers['content-type']
  const charset = /;\s*charset="?([^";\s]+)/i.exec(header ?? '')?.[1]
  if (charset !== undefined && !/^(utf-?8|us-ascii)$/i.test(charset)) {
    throw new AgentError('HS_UNSUPPORTED_MEDIA_TYPE', `bodies are UTF-8, not ${charset}`)
  }
  return header?.split(';', 1)[0]?.trim().toLowerCase()
}

/** The chunks of a body as they arrive. Throws HS_TIMEOUT when none arrives for `idleMs` while one is waited for. */
export async function* readChunks(request: IncomingMessage, idleMs: number): AsyncGenerator<Buffer> {
  // An iterator that ends early must not destroy the request: the answer still goes out on its socket.
  const chunks = request.iterator({ destroyOnReturn: false })
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined
      const idle = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new AgentError('HS_TIMEOUT', `no byte of the body came for ${idleMs / 1000} s`)), idleMs)
      })
      let next: IteratorResult<unknown>
      try {
        next = await Promise.race([chunks.next(), idle])
      } finally {
        clearTimeout(timer)
      }
      if (next.done === true) return
      if (next.value instanceof Buffer) yield next.value
    }
  } finally {
    // What nobody reads any more can be thrown away only when the iterator has let go of it. Not awaited: it may wait for a byte.
    chunks.return?.().catch(() => {})
  }
}

export interface BodyReader {
  /** Reads a JSON body of at most `bytesMax` bytes and gives its text to `use`; the bytes count as held until `use` is done. */
  withJsonText<T>(request: IncomingMessage, bytesMax: number, tooLarge: string, use: (text: string) => Promise<T>): Promise<T>
}

/** `bodiesBytesMax`: what all bodies held at once may take. `idleMs`: longest silence inside one. */
export function createBodyReader({ bodiesBytesMax, bodyIdleMs }: { bodiesBytesMax: number; bodyIdleMs: number }): BodyReader {
  let heldBytes = 0
  return {
    async withJsonText(request, bytesMax, tooLarge, use) {
      const type = mediaTypeOf(request)
      if (type !== undefined && type !== JSON_TYPE)
        throw new AgentError('HS_UNSUPPORTED_MEDIA_TYPE', `this route takes ${JSON_TYPE}, not ${type}`)
      if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw new AgentError('HS_TOO_LARGE', tooLarge)
      const chunks: Buffer[] = []
      let bytes = 0
      try {
        for await (const chunk of readChunks(request, bodyIdleMs)) {
          bytes += chunk.length
          heldBytes += chunk.length
          if (bytes > bytesMax) throw new AgentError('HS_TOO_LARGE', tooLarge)
          if (heldBytes > bodiesBytesMax) throw new AgentError('HS_BUSY', 'too many large bodies are being read at once')
          chunks.push(chunk)
        }
        if (bytes === 0) throw new AgentError('HS_INVALID_JSON', 'the body is empty')
        const text = decodeText(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, bytes))
        chunks.length = 0
        if (text === undefined) throw new AgentError('HS_INVALID_JSON', 'the body is not valid UTF-8')
        return await use(text)
      } finally {
        heldBytes -= bytes
      }
    },
  }
}

/** Strict: undefined when the bytes are not valid UTF-8. */
export function decodeText(bytes: Buffer): string | undefined {
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined
}
