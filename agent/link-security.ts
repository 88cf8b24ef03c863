/**
 * The peer link under a swarm key: TLS 1.2 with the key as pre-shared key (RFC 4279, RFC 5489: ECDHE-PSK), inside of which the link's
 * own bytes are the same as without (peer-link.ts). Both sides prove that they hold the key, and a recording cannot be read later, not
 * even with the key. TLS 1.3 is left out because Node has no pre-shared keys there.
 *
 *   pre-shared key   HKDF-SHA256 of the swarm key, salt SHA-256("hs-agent swarm\0" + swarm name), info "hs-agent link 1\0"
 *   identity         id of the key that the dialling side has chosen, 8 hexadecimal digits
 *   identity hint    ids of the keys that the listening side takes, separated by blanks
 *
 * With a key there is no other link than this: plain bytes end the handshake, and no session is resumed without the key.
 */
import { constants } from 'node:crypto'
import type { Socket } from 'node:net'
import { connect, createServer } from 'node:tls'
import type { Server } from 'node:tls'
import { encodeUtf8 } from '../base/utf8.ts'
import { hashSwarmName } from '../swarm/packet.ts'
import { systemCryptography, systemHash } from './ports.ts'
import type { SwarmKey } from './swarm-keys.ts'

const LABEL = encodeUtf8('hs-agent link 1\0') ?? new Uint8Array(0)

export const LINK_TERMS = {
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
  // A ticket would outlive the key that it was got with.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const

export interface LinkSecurity {
  /** What takes over connections that peers open: calls back with the secured socket, or destroys it. */
  createAcceptor(onSecure: (secured: Socket) => void): (socket: Socket) => void
  /** Other keys from now on; links that are open stay. */
  useKeys(keys: readonly SwarmKey[]): void
  /** Secures a connection that was opened to a peer; destroys it when the peer does not hold one of our keys. */
  secure(socket: Socket, onSecure: (secured: Socket) => void): void
}

/** `keys`: the first one is offered where the other side takes it; `handshakeMs`: the longest that a peer may take to prove itself. */
export function createLinkSecurity(keys: readonly SwarmKey[], swarmName: string, handshakeMs: number): LinkSecurity {
  const salt = hashSwarmName(swarmName, systemHash)
  const derive = (keys: readonly SwarmKey[]): Map<string, Uint8Array> =>
    new Map(keys.map(({ id, bytes }) => [id, systemCryptography.deriveKey(bytes, salt, LABEL)]))
  let secretById = derive(keys)
  const makeServer = (onSecure: (secured: Socket) => void): Server => {
    // It listens nowhere: connections are given to it.
    const server = createServer({
      ...LINK_TERMS,
      handshakeTimeout: handshakeMs,
      pskCallback: (_socket, identity) => secretById.get(identity) ?? null,
      pskIdentityHint: [...secretById.keys()].join(' '),
    })
    server.on('secureConnection', onSecure)
    server.on('tlsClientError', (_error, secured) => secured.destroy())
    return server
  }
  /** The servers tell which keys are taken, so other keys need others. */
  const replaceServers: (() => void)[] = []

  return {
    useKeys(replacing) {
      secretById = derive(replacing)
      for (const replace of replaceServers) replace()
    },
    createAcceptor(onSecure) {
      let server = makeServer(onSecure)
      replaceServers.push(() => (server = makeServer(onSecure)))
      return socket => void server.emit('connection', socket)
    },
    secure(socket, onSecure) {
      const secured = connect({
        ...LINK_TERMS,
        socket,
        pskCallback(hint) {
          const taken = new Set(hint?.split(' '))
          const ids = [...secretById.keys()]
          const identity = ids.find(id => taken.has(id)) ?? ids[0] ?? ''
          const psk = secretById.get(identity)
          return psk === undefined ? null : { identity, psk }
        },
        // Nobody shows a certificate: the key is the proof.
        checkServerIdentity: () => undefined,
      })
      const fail = (): void => void socket.destroy()
      secured.once('error', fail)
      secured.once('secureConnect', () => {
        secured.off('error', fail)
        onSecure(secured)
      })
    },
  }
}
