import { collectionPath } from '../api-client.ts'
import { defineCommand } from '../command.ts'
import { printJson } from '../terminal.ts'

export const proof = defineCommand({
  summary: 'Prints a signed proof that the agent holds a record now',
  details:
    'The proof holds the record itself, and hashes of about 1/256 of its collection. Whoever has it and the public key of the node (`hs-agent ' +
    'status` shows it) verifies it with verify-proof, with neither an agent nor a network.',
  positionals: ['collection', 'key'],
  examples: ['hs-agent proof imu robot1/000001 > proof.json', 'hs-agent proof imu robot1/000001 | hs-agent verify-proof -'],
  run: async ({ args, connect }) =>
    printJson(await (await connect()).getObject(collectionPath(args.collection, 'records', args.key, 'proof'))),
})
