/** Mounts for tests: made in a mount namespace that ends with the agent, so that nobody else sees them. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export const canMount = await promisify(execFile)('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/tmp']).then(
  () => true,
  () => false,
)

/** For the name of a suite. */
export const mountNote = canMount ? '' : ' (cannot run here: mounting takes root)'
