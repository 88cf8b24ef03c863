/** Compacts the database in the folder that is its argument. Where a key is damaged LevelDB ends the process. */
import { ClassicLevel } from 'classic-level'

const database = new ClassicLevel<Uint8Array, Uint8Array>(process.argv[2]!, { keyEncoding: 'view', valueEncoding: 'view' })
await database.compactRange(Uint8Array.of(0), Uint8Array.of(0xff))
await database.close()
