import { isLoopback } from '../../agent/config-address.ts'
import { formatFault } from '../../agent/config.ts'
import { explainDiagnosis } from '../../agent/diagnosis/explain.ts'
import { found, gravest, type Finding } from '../../agent/diagnosis/finding.ts'
import { EXIT } from '../../agent/errors.ts'
import type { Config } from '../../agent/config.ts'
import { createApiClient } from '../api-client.ts'
import { defineCommand } from '../command.ts'
import { renderFindings } from '../doctor/render.ts'
import { paint, print, printJson, terminalWidth } from '../terminal.ts'
import type { HostAsked } from '../doctor/pair-check.ts'

export const doctor = defineCommand({
  summary: 'Says why two robots do not see one another, and what is wrong on this one',
  details:
    'Asks the running agent what it has heard, and of whom, and checks what it can without one: settings, data directory, ports, interfaces, disk, ' +
    'clock. With HOST, looks at that robot alone: what listens on its gossip port (PORT, else that of this agent), whether the swarm keys match, ' +
    'what was heard of it. Every line is a finding: what is seen, the likely reason, what to do. Exit status 1 when there is a fault. Under ' +
    'systemd give it the settings of the service: --env-file /etc/hs-agent/hs-agent.env.',
  positionals: ['[host]'],
  options: {
    'peer-url': {
      type: 'string',
      value: 'URL',
      doc: 'Also ask the agent of the other robot there, with the same token: then each direction is known',
    },
  },
  examples: [
    'hs-agent doctor',
    'hs-agent doctor 192.168.1.20',
    'hs-agent doctor rover-2.local:7946 --peer-url http://rover-2.local:50050',
    'hs-agent doctor --json',
  ],
  run: async ({ args, options, json, settings }) => {
    const { result } = await settings()
    const findings = result.ok
      ? await examine(result.config, args.host, options['peer-url'])
      : result.faults.map(fault =>
          found('fault', 'config', fault.variable, formatFault(fault), {
            reason: 'the agent does not start with it',
            advice: 'see `hs-agent --help`',
          }),
        )
    const severity = gravest(findings)
    if (json) printJson({ severity, findings })
    else print(renderFindings(findings, { paint, widthMax: terminalWidth() }))
    return severity === 'fault' ? EXIT.failed : EXIT.done
  },
})

async function examine(config: Config, hostText: string | undefined, peerUrl: string | undefined): Promise<Finding[]> {
  // What only this command needs is loaded here: the others start faster without it.
  const { askAgent } = await import('../doctor/agent-check.ts')
  const { checkPair, parseHostAsked } = await import('../doctor/pair-check.ts')
  const asked: HostAsked | undefined =
    hostText !== undefined ? parseHostAsked(hostText) : peerUrl === undefined ? undefined : { host: hostOfUrl(peerUrl), port: undefined }
  const token = config.apiTokens[0]
  const own = await askAgent(config.url, createApiClient({ url: config.url, token }), true)
  const findings: Finding[] = [...own.findings]
  if (!own.isRunning && isLoopback(hostOfUrl(config.url))) findings.push(...(await examineMachine(config)))
  if (asked !== undefined) {
    const other = peerUrl === undefined ? undefined : await askAgent(peerUrl, createApiClient({ url: peerUrl, token }), false)
    const pair = await checkPair(asked, { ownPort: config.gossipPort, here: own.diagnosis, there: other?.diagnosis })
    return [...findings, ...(other?.findings ?? []), ...pair]
  }
  if (own.diagnosis !== undefined) {
    if (isLoopback(hostOfUrl(config.url))) findings.push(...(await examineStore(config, true)))
    findings.push(...explainDiagnosis(own.diagnosis))
  }
  return findings
}

/** An agent with these settings, if it were started here. */
async function examineMachine(config: Config): Promise<Finding[]> {
  const { checkClock, checkInterfaces } = await import('../doctor/machine-check.ts')
  const { checkPorts } = await import('../doctor/port-check.ts')
  return [
    found('ok', 'config', 'settings', 'The settings are valid'),
    ...(await examineStore(config, false)),
    ...(await checkPorts(config)),
    ...(await checkInterfaces(config)),
    ...checkClock(Date.now()),
  ]
}

async function examineStore(config: Config, isRunning: boolean): Promise<Finding[]> {
  const { checkDataDirectory } = await import('../doctor/machine-check.ts')
  return checkDataDirectory(config, isRunning)
}

const hostOfUrl = (url: string): string => new URL(url).hostname.replace(/^\[(.*)\]$/, '$1')
