/**
 * A PouchDB that others replicate from, in a process of its own: started by sync-vs-pouchdb.ts with the folder of its packages and the one of
 * its database. It answers what PouchDB asks of a remote database when it pulls, as CouchDB does, over HTTP on loopback. It stores what
 * messages tell it to, and says `{port}` when it is up and `{stored}` when it has stored.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { loadPouch, type PouchDatabase, type PouchDocument } from './pouchdb.ts'

/** What it is told: documents to store, over what it holds; and whether answers are compressed from now on. */
export type SourceOrder = { readonly store: readonly PouchDocument[] } | { readonly compress: boolean }

const [packagesFolder = '', databaseFolder = ''] = process.argv.slice(2)
const Database = loadPouch(packagesFolder)
const database: PouchDatabase = new Database(databaseFolder, { adapter: 'leveldb' })
let isCompressing = false

async function store(documents: readonly PouchDocument[]): Promise<void> {
  const { rows } = await database.allDocs({ keys: documents.map(({ _id }) => _id) })
  const revised = documents.map((document, i) => {
    const rev = (rows[i] as { value?: { rev: string } }).value?.rev
    return rev === undefined ? document : { ...document, _rev: rev }
  })
  for (const { ok } of await database.bulkDocs(revised)) if (ok !== true) throw new Error('a document was not stored')
}

const isTrue = (query: URLSearchParams, name: string): boolean => query.get(name) === 'true'

async function answer(method: string, path: string, query: URLSearchParams, body: unknown): Promise<object> {
  const [, , ...words] = path.split('/')
  switch (`${method} ${words[0]}`) {
    case 'GET ':
      return database.info()
    case 'GET _changes':
      return database.changes({ since: Number(query.get('since')), limit: Number(query.get('limit')), style: query.get('style') })
    case 'POST _bulk_get':
      return database.bulkGet({
        ...(body as object),
        revs: isTrue(query, 'revs'),
        latest: isTrue(query, 'latest'),
        attachments: isTrue(query, 'attachments'),
      })
    case 'GET _local':
      return database.get(words.join('/'))
    case 'PUT _local':
      return { ok: true, id: words.join('/'), rev: (await database.put(body as PouchDocument)).rev }
    default:
      throw new Error(`nobody thought of ${method} ${path}`)
  }
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://source')
  const send = (status: number, value: object): void => {
    const plain = Buffer.from(JSON.stringify(value))
    const bytes = isCompressing ? gzipSync(plain) : plain
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': bytes.length,
      ...(isCompressing && { 'content-encoding': 'gzip' }),
    })
    response.end(bytes)
  }
  try {
    send(200, await answer(request.method ?? '', decodeURIComponent(pathname), searchParams, text === '' ? undefined : JSON.parse(text)))
  } catch (error) {
    const { status = 500, message = '' } = error as { status?: number; message?: string }
    send(status, { error: status === 404 ? 'not_found' : 'failed', reason: message })
  }
}

const server = createServer((request, response) => void serve(request, response))
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  process.send?.({ port: typeof address === 'object' ? address?.port : undefined })
})
process.on('message', (order: SourceOrder) => {
  if ('compress' in order) isCompressing = order.compress
  else void store(order.store).then(() => process.send?.({ stored: true }))
})
process.once('disconnect', () => process.exit())
