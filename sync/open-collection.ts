/** How the exchange of one collection begins: `open` both ways. */
import { fromHex } from '../base/bytes.ts'
import { boundAcknowledgements } from './acknowledgement.ts'
import { SessionFault, type Channel } from './channel.ts'
import { apartFrom, inFull, type CommonGrounds } from './common-ground.ts'
import { STAMP_ZERO } from './hlc.ts'
import type { Hello, Open } from './messages.ts'
import type { Difference } from './offers.ts'
import type { CollectionSnapshot, ReplicaSnapshot } from './replica-snapshot.ts'
import type { SyncReplica } from './sync-replica.ts'

export interface OpenedCollection {
  /** To be closed. */
  readonly snapshot: ReplicaSnapshot
  /** Undefined: this replica has none of that generation. */
  readonly mine: CollectionSnapshot | undefined
  readonly opened: Open
  readonly theirs: Open
}

/** Both sides state what they hold of one collection, from one snapshot that stays open. */
export async function openCollection(
  replica: SyncReplica,
  channel: Channel,
  { name, generation, common }: Difference,
  peer: Hello,
  commonGrounds: CommonGrounds | undefined,
): Promise<OpenedCollection> {
  const snapshot = await replica.snapshot()
  try {
    const found = await snapshot.collection(name)
    const mine = found?.generation === generation ? found : undefined
    const known = (await mine?.acknowledgements()) ?? []
    const opened: Open = {
      kind: 'open',
      name,
      generation: mine?.generation ?? 0,
      vector: mine?.vector ?? new Map(),
      collected: mine?.collected ?? new Map(),
      resume: replica.resumePoint(name, generation, fromHex(peer.storeId) ?? new Uint8Array(0)),
      collectedStampMax: mine?.collectedStampMax ?? STAMP_ZERO,
      rosterHash: replica.rosterHash(),
      acknowledgements: boundAcknowledgements(commonGrounds?.untold(known, common) ?? known),
      terms: mine?.terms ?? replica.termsOf(name),
      voided: mine === undefined ? [] : await replica.voided(mine),
    }
    const apart = common && apartFrom(common, opened)
    const [said] = await Promise.all([channel.expect('open'), channel.send({ ...opened, ...apart })])
    const theirs = inFull(common, said)
    if (theirs === undefined) throw new SessionFault('unexpected', `the peer opened "${said.name}" on ground that is not common`)
    if (theirs.name !== name || (theirs.generation !== generation && theirs.generation !== 0)) {
      throw new SessionFault('unexpected', `the peer opened "${theirs.name}" in the place of "${name}"`)
    }
    return { snapshot, mine, opened, theirs }
  } catch (error) {
    await snapshot.close()
    throw error
  }
}
