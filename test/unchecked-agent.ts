/** An agent that checks no table when it starts, as one checks none beyond its newest 32 MiB. Its settings are in the environment. */
import { startAgent } from '../agent/agent.ts'
import { loadConfig } from '../agent/config.ts'

const loaded = loadConfig(process.env, { version: 'test', workingDirectory: process.cwd() })
if (!loaded.ok) throw new Error(JSON.stringify(loaded.faults))
const told = new Promise(resolve => void process.once('SIGTERM', resolve))
const agent = await startAgent(loaded.config, {
  version: 'test',
  announce: ({ banner }) => void process.stdout.write(`${banner}\n`),
  checkedBytesMax: 0,
})
await told
await agent.close()
