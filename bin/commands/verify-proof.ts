import { AgentError } from '../../agent/errors.ts'
import { createUsageError } from '../arguments.ts'
import { readBounded } from '../bounded-input.ts'
import { defineCommand } from '../command.ts'
import { print, printable, printJson } from '../terminal.ts'
import { formatBytes, formatCount, formatTime } from '../words.ts'
import type { Proven, ProvenVersion } from '../../agent/proof/verify.ts'

export const verifyProof = defineCommand({
  summary: 'Verifies a proof of a record or a checkpoint of a collection; needs no agent and no network',
  details:
    'Says which node held which record at which time, or which part does not hold, and then exits with 1. FILE may be - for standard input. ' +
    'Anybody can sign with a key of their own: without --public-key only the file is verified, and not who made it.',
  positionals: ['file'],
  options: {
    'public-key': { type: 'string', value: 'KEY', doc: "The node's key, 64 hexadecimal digits, as its status shows it" },
  },
  examples: [
    'hs-agent verify-proof proof.json',
    'hs-agent verify-proof proof.json --public-key 3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    'curl -s http://rover-2:50050/api/collections/imu/checkpoint | hs-agent verify-proof -',
  ],
  run: async ({ args, options, json }) => {
    const publicKey = options['public-key']?.toLowerCase()
    if (publicKey !== undefined && !/^[0-9a-f]{64}$/.test(publicKey)) throw createUsageError('--public-key must be 64 hexadecimal digits')
    // Loaded here, so that no other command waits for it.
    const [{ PROOF_FAULTS, verifyProofFile }, { PROOF_LIMITS }] = await Promise.all([
      import('../../agent/proof/verify.ts'),
      import('../../agent/proof/shapes.ts'),
    ])
    const proven = verifyProofFile(await readBounded(args.file, PROOF_LIMITS.fileBytesMax), publicKey)
    if (!proven.ok) {
      const { part, member } = proven
      throw new AgentError('HS_PROOF_INVALID', `${part}: ${PROOF_FAULTS[part]}${member === undefined ? '' : ` (${member})`}`)
    }
    if (json) return printJson(toJson(proven, publicKey !== undefined))
    print(printable(describe(proven)))
    print(
      publicKey === undefined
        ? `The key is the one in the file, ${proven.publicKey}: compare it with that of the node, or give --public-key.`
        : `It is signed with the key that was given, ${proven.publicKey}.`,
    )
  },
})

/** Which node held what, and when: one line. */
function describe({ checkpoint, record }: Proven): string {
  const { node_id: nodeId, collection, time, trusted_time: isTrusted, logical_clock: clock } = checkpoint
  const when = `at ${formatTime(time)} by its clock (${isTrusted ? '' : 'not '}synchronised), logical clock ${clock}`
  if (record === undefined) {
    const { digest, record_count: records } = checkpoint
    return `Node ${nodeId} held collection ${collection} with ${formatCount(records)} record${records === 1 ? '' : 's'}, digest ${digest}, ${when}.`
  }
  const [shown, ...others] = record.versions
  const more = others.length === 0 ? '' : ` and ${others.length} concurrent version${others.length === 1 ? '' : 's'}`
  const what = shown === undefined ? '' : `, version ${shown.version.origin}:${shown.version.counter} (${describeContent(shown)})${more}`
  return `Node ${nodeId} held record ${JSON.stringify(record.key)} of collection ${collection}${what}, ${when}.`
}

function describeContent({ content: { payload, data, contentType, vector } }: ProvenVersion): string {
  const parts = [
    ...(payload === undefined ? [] : [`${formatBytes(payload.length)} of payload`]),
    ...(data === undefined ? [] : [`${formatBytes(data.length)} of ${contentType}`]),
    ...(vector === undefined ? [] : [`vector of ${vector.length / 4}`]),
  ]
  return parts.length === 0 ? 'empty' : parts.join(', ')
}

/** The record as a GET gives it, except that a vector is its bytes in base64 and a payload is its text. */
function toJson({ publicKey, checkpoint, record }: Proven, isKeyGiven: boolean): unknown {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  const versions = record?.versions.map(({ version: { origin, counter, stamp }, content: { payload, data, contentType, vector } }) => ({
    version: { origin, counter, time: stamp.ms, tick: stamp.tick },
    ...(payload === undefined ? {} : { payload: Buffer.from(payload).toString() }),
    ...(data === undefined ? {} : { data: base64(data), content_type: contentType }),
    ...(vector === undefined ? {} : { vector: base64(vector) }),
  }))
  return { proven: true, public_key: publicKey, key_given: isKeyGiven, checkpoint, ...(record && { key: record.key, versions }) }
}
