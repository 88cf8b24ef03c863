import { AgentError } from '../../agent/errors.ts'
import { isIdentityThere } from '../../agent/identity.ts'
import { openOwnReplica } from '../../agent/offline-replica.ts'
import { requestRecovery } from '../../agent/recovery-marker.ts'
import { saltOf } from '../../agent/salt.ts'
import { describeComeback } from '../../agent/store-health.ts'
import { verifyDataDirectory } from '../../agent/verifying.ts'
import { defineCommand } from '../command.ts'
import { print, printable, printJson } from '../terminal.ts'

export const repair = defineCommand({
  summary: 'Mends the database of the data directory, where no agent runs',
  details:
    'What a start does by itself that finds the database damaged; here it is verified in full before. What is damaged is moved aside (quarantine-<time>; ' +
    'the newest three are kept); what no other node has comes back from the outage log, the rest from peers.',
  examples: ['hs-agent repair', 'HS_DATA_DIR=/var/lib/hs-agent hs-agent repair --json'],
  run: async ({ json, config }) => {
    const { dataDir, digestSalt, outageLogMib } = await config()
    if (!(await isIdentityThere(dataDir)))
      throw new AgentError('HS_NOT_FOUND', `no agent has run in ${dataDir}: there is nothing to repair`)
    const { faults } = await verifyDataDirectory(dataDir, saltOf(digestSalt))
    const [fault] = faults
    if (fault === undefined) {
      if (json) printJson({ repaired: false, faults })
      else print('everything matches: there is nothing to repair')
      return
    }
    await requestRecovery(dataDir, fault)
    const own = await openOwnReplica(dataDir, { outageLogBytesMax: outageLogMib * 1024 * 1024, digestSalt: saltOf(digestSalt) })
    const { comeback } = own
    await own.close()
    if (json) printJson({ repaired: true, faults, recovery: comeback ?? null })
    else print(printable(comeback === undefined ? fault : describeComeback(comeback)))
  },
})
