/** All commands, in the order of the help. */
import { backup } from './commands/backup.ts'
import { collections } from './commands/collections.ts'
import { completion } from './commands/completion.ts'
import { config } from './commands/config.ts'
import { del } from './commands/delete.ts'
import { doctor } from './commands/doctor.ts'
import { evict } from './commands/evict.ts'
import { exportRecords } from './commands/export.ts'
import { get } from './commands/get.ts'
import { importRecords } from './commands/import.ts'
import { keygen } from './commands/keygen.ts'
import { list } from './commands/list.ts'
import { peers } from './commands/peers.ts'
import { proof } from './commands/proof.ts'
import { put } from './commands/put.ts'
import { quarantine } from './commands/quarantine.ts'
import { repair } from './commands/repair.ts'
import { replicas } from './commands/replicas.ts'
import { restore } from './commands/restore.ts'
import { run } from './commands/run.ts'
import { search } from './commands/search.ts'
import { status } from './commands/status.ts'
import { sync } from './commands/sync.ts'
import { verify } from './commands/verify.ts'
import { verifyProof } from './commands/verify-proof.ts'
import { showVersion } from './commands/version.ts'
import { watch } from './commands/watch.ts'
import { defineCommand } from './command.ts'
import type { Command } from './command.ts'

/** Here for the list alone: the command line itself answers it. */
const help = defineCommand({
  summary: 'Prints help, about one command when it is named',
  positionals: ['[command]'],
  choices: { command: 'commands' },
  examples: ['hs-agent help import'],
  run: async () => {},
})

export const commands: Readonly<Record<string, Command>> = {
  run,
  status,
  peers,
  doctor,
  collections,
  get,
  put,
  delete: del,
  list,
  import: importRecords,
  export: exportRecords,
  search,
  watch,
  sync,
  proof,
  'verify-proof': verifyProof,
  replicas,
  evict,
  quarantine,
  backup,
  restore,
  verify,
  repair,
  config,
  keygen,
  completion,
  version: showVersion,
  help,
}
