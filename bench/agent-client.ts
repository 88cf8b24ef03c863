/** A client as cheap as can be, so that what is measured is the agent: node:http with connections that are kept. */
import { Agent, request as requestHttp, type IncomingMessage } from 'node:http'
import { once } from 'node:events'

export interface AgentClient {
  /** Sends a request and throws the answer's body away; a status of 300 or more ends the bench. */
  send(method: 'GET' | 'PUT' | 'DELETE', path: string, body?: Uint8Array): Promise<void>
  /** Posts NDJSON in chunks. */
  post(path: string, chunks: readonly Uint8Array[]): Promise<void>
  /** Bytes of an answer in NDJSON, and its lines. */
  export(path: string): Promise<{ readonly bytes: number; readonly lines: number }>
  close(): void
}

const newline = 0x0a

export function createAgentClient(url: string, connectionsMax = 256): AgentClient {
  const agent = new Agent({ keepAlive: true, maxSockets: connectionsMax })
  const { hostname, port } = new URL(url)

  const open = async (
    method: string,
    path: string,
    headers: Record<string, string | number>,
    body: readonly Uint8Array[],
  ): Promise<IncomingMessage> => {
    const request = requestHttp({ agent, hostname, port, method, path, headers })
    const answered = once(request, 'response')
    for (const chunk of body) if (!request.write(chunk)) await once(request, 'drain')
    request.end()
    const [response] = (await answered) as [IncomingMessage]
    if ((response.statusCode ?? 500) >= 300) throw new Error(`${method} ${path}: ${response.statusCode}`)
    return response
  }

  return {
    async send(method, path, body) {
      const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }
      const response = await open(method, path, headers, body === undefined ? [] : [body])
      response.resume()
      await once(response, 'end')
    },
    async post(path, chunks) {
      const response = await open('POST', path, { 'content-type': 'application/x-ndjson' }, chunks)
      response.resume()
      await once(response, 'end')
    },
    async export(path) {
      const response = await open('GET', path, { accept: 'application/x-ndjson' }, [])
      let bytes = 0
      let lines = 0
      for await (const piece of response as AsyncIterable<Buffer>) {
        bytes += piece.length
        for (let at = piece.indexOf(newline); at !== -1; at = piece.indexOf(newline, at + 1)) lines += 1
      }
      return { bytes, lines }
    },
    close: () => agent.destroy(),
  }
}
