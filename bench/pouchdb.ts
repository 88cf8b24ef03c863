/** PouchDB as a peer to compare with: the parts of it that two benches' processes use, and where they come from. */
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { NotRunError } from './bench.ts'

const version = '9.0.0'
const packages = ['pouchdb-core', 'pouchdb-adapter-leveldb', 'pouchdb-adapter-http', 'pouchdb-replication']

export interface PouchDocument {
  readonly _id: string
  readonly _rev?: string
  readonly [field: string]: unknown
}

export interface ReplicationResult {
  readonly ok: boolean
  readonly docs_written: number
}

/** One database; options and answers are those of CouchDB's HTTP API. */
export interface PouchDatabase {
  bulkDocs(documents: readonly PouchDocument[]): Promise<readonly { readonly ok?: boolean }[]>
  allDocs(options: {
    readonly keys: readonly string[]
  }): Promise<{ readonly rows: readonly { readonly value: { readonly rev: string } }[] }>
  info(): Promise<object>
  changes(options: object): Promise<object>
  bulkGet(options: object): Promise<object>
  get(id: string): Promise<object>
  put(document: PouchDocument): Promise<{ readonly rev: string }>
  close(): Promise<void>
}

export interface Pouch {
  new (name: string, options?: { readonly adapter: 'leveldb' }): PouchDatabase
  replicate(source: string, target: PouchDatabase, options: { readonly batch_size?: number }): Promise<ReplicationResult>
}

interface PouchMaker {
  plugin(plugin: unknown): PouchMaker & Pouch
}

/** Installs PouchDB into `folder`, from npm and without running scripts: it is no dependency of this project. */
export async function installPouch(folder: string): Promise<void> {
  const names = packages.map(name => `${name}@${version}`)
  try {
    await promisify(execFile)('npm', ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', ...names])
  } catch (error) {
    throw new NotRunError(
      `npm cannot install PouchDB ${version} (${error instanceof Error ? error.message.split('\n')[0] : String(error)})`,
    )
  }
}

export function loadPouch(folder: string): Pouch {
  const require = createRequire(join(folder, 'package.json'))
  const [core, ...plugins] = packages.map(name => require(name) as unknown)
  return plugins.reduce<PouchMaker>((made, plugin) => made.plugin(plugin), core as PouchMaker) as PouchMaker & Pouch
}
