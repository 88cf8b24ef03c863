/** `GET /api/backup`: everything that this node holds, as of one moment. */
import { Readable } from 'node:stream'
import { Type } from 'typebox'
import { BACKUP_TYPE } from '../backup/backup-file.ts'
import { toldOfFailure, type App, type RouteContext } from './route.ts'
import { asBytes } from './schemas.ts'

export function addBackupRoute(app: App, context: RouteContext): void {
  app.get(
    '/api/backup',
    {
      schema: {
        operationId: 'getBackup',
        summary: 'A backup of everything that this node holds, as of one moment.',
        description: 'For `hs-agent restore`. One that is cut off is not whole, and says so: `hs-agent verify FILE`.',
        tags: ['operations'],
        response: { 200: asBytes({ [BACKUP_TYPE]: Type.String({ format: 'binary' }) }) },
      },
    },
    (request, reply) => {
      void reply.type(BACKUP_TYPE)
      if (request.method === 'HEAD') return reply.send('')
      const leave = context.enterStream()
      return reply.send(Readable.from(toldOfFailure(context.log, 'a backup', context.backup()), { objectMode: false }).once('close', leave))
    },
  )
}
