/** The system's error codes of networks in words: what happened, and what that means for two robots. */

interface Words {
  /** Stands behind "TCP port 7946:". */
  readonly happened: string
  readonly reason: string
  readonly advice: string
}

const WORDS: Readonly<Record<string, Words>> = {
  ECONNREFUSED: {
    happened: 'the connection is refused',
    reason: 'the machine is there, and nobody listens on that port: no agent runs, its gossip is off, or it has another HS_GOSSIP_PORT',
    advice: 'start the agent there, or name the port that its first line of output tells',
  },
  EHOSTUNREACH: {
    happened: 'the host is unreachable',
    reason: 'nothing on the network answers to this address: it is off, out of range, or in another network',
    advice: 'check its power, its network and its address (`ip addr` there, `ping` from here)',
  },
  ENETUNREACH: {
    happened: 'the network is unreachable',
    reason: 'this machine has no route to that address: its own network is down, or the address is wrong',
    advice: 'check `ip addr` and `ip route` here',
  },
  ETIMEDOUT: {
    happened: 'no answer in time',
    reason: 'it is off, or a firewall on the way drops the packets, or only one direction works',
    advice: 'allow UDP and TCP on the gossip port in both directions (`nft list ruleset` on both sides); check with `ping`',
  },
  EPERM: {
    happened: 'this machine refuses to send',
    reason: 'a firewall of its own forbids it',
    advice: 'allow UDP and TCP on the gossip port here, outgoing too (`nft list ruleset`)',
  },
  HANDSHAKE: {
    happened: 'it connects, and the handshake fails',
    reason: 'the two do not hold the same swarm key, or one of them has none',
    advice: 'compare the swarm key in `hs-agent status` on both',
  },
}

const UNKNOWN_WORDS: Words = {
  happened: 'it failed',
  reason: 'the system gives no more than the code',
  advice: 'see errno(3) for the code',
}
const ALIASES: Readonly<Record<string, string>> = {
  EACCES: 'EPERM',
  EHOSTDOWN: 'EHOSTUNREACH',
  ENETDOWN: 'ENETUNREACH',
  ECONNRESET: 'HANDSHAKE',
}

export function describeNetworkFault(code: string): Words {
  return WORDS[ALIASES[code] ?? code] ?? UNKNOWN_WORDS
}
