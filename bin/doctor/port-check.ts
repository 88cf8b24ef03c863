/** Whether the ports of the settings can be had here: binds each for a moment, as the agent would. */
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { Config } from '../../agent/config.ts'
import { found, type Finding } from '../../agent/diagnosis/finding.ts'
import { ownerOfPort, type Owner } from './process-of.ts'

export async function checkPorts(config: Config): Promise<Finding[]> {
  const { httpHost, httpPort, gossipHost, gossipPort, gossipMulticast } = config
  const findings = [await check('HS_HTTP_PORT', 'HTTP', 'tcp', httpPort, () => bindTcp(httpHost, httpPort))]
  if (gossipPort !== undefined) {
    // With a group the agent shares the UDP port: see agent/udp.ts.
    const isShared = gossipMulticast !== undefined
    findings.push(
      (await check('HS_GOSSIP_PORT', 'the peer link', 'tcp', gossipPort, () => bindTcp(gossipHost, gossipPort))) ??
        (await check('HS_GOSSIP_PORT', 'gossip', 'udp', gossipPort, () => bindUdp(gossipHost, gossipPort, isShared))),
    )
  }
  const faults = findings.filter(finding => finding !== undefined)
  if (faults.length > 0) return faults
  const ports = gossipPort === undefined ? `${httpPort} (HTTP)` : `${httpPort} (HTTP) and ${gossipPort} (gossip)`
  return [found('ok', 'ports', 'HS_HTTP_PORT', `Ports ${ports} can be had`)]
}

async function check(
  setting: string,
  use: string,
  protocol: 'tcp' | 'udp',
  port: number,
  bind: () => Promise<string | undefined>,
): Promise<Finding | undefined> {
  // The system picks a free one.
  if (port === 0) return undefined
  const code = await bind()
  if (code === undefined) return undefined
  const name = `${protocol.toUpperCase()} port ${port} (${setting}, for ${use})`
  if (code === 'EADDRINUSE') {
    const owner = await ownerOfPort(protocol, port)
    return found('fault', 'port-taken', setting, `${name} is taken by ${describeOwner(owner)}`, {
      reason: owner?.name === 'hs-agent' ? 'another agent runs on this machine' : 'two programs cannot have one port',
      advice:
        owner === undefined
          ? `\`ss -lnp\` as root names it; stop it, or choose another ${setting}`
          : `stop it, or choose another ${setting} (on robots that are to meet by HS_GOSSIP_PEERS, name that port)`,
    })
  }
  const [reason, advice] =
    code === 'EADDRNOTAVAIL'
      ? ['this machine has no such address', `correct ${setting.replace('PORT', 'HOST')}`]
      : code === 'EACCES'
        ? ['ports below 1024 are for root', `choose another ${setting}`]
        : ['the system refuses it', 'see errno(3) for the code']
  return found('fault', 'port-unusable', setting, `${name} cannot be bound: ${code}`, { reason, advice })
}

const describeOwner = (owner: Owner | undefined): string =>
  owner === undefined
    ? 'another process'
    : owner.name === 'hs-agent'
      ? `another hs-agent (process ${owner.pid})`
      : `${owner.name} (process ${owner.pid})`

function bindTcp(host: string, port: number): Promise<string | undefined> {
  const server = createServer()
  return new Promise(resolve => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

function bindUdp(host: string, port: number, reuseAddr: boolean): Promise<string | undefined> {
  const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', reuseAddr })
  return new Promise(resolve => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close()
      resolve(error.code ?? error.message)
    })
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(undefined)))
  })
}
