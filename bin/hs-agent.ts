/** The program: hands the words, the environment and the working directory to the command line, and leaves with its exit status. */
import { EXIT } from '../agent/errors.ts'
import { describeFailure } from './failure.ts'
import { wrapFileError } from './file-error.ts'
import { runCommandLine } from './main.ts'
import { printError } from './terminal.ts'

/** A reader that has seen enough (`hs-agent export x | head`) is no failure; a disk that is full is one. */
function leave(error: NodeJS.ErrnoException): never {
  if (error.code === 'EPIPE') process.exit(EXIT.done)
  printError(describeFailure(wrapFileError('standard output', error)).text)
  process.exit(EXIT.failed)
}

process.stdout.on('error', leave)
process.stderr.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.failed))

const status = await runCommandLine(process.argv.slice(2), { env: process.env, workingDirectory: process.cwd() })

// What was printed is written first; what is still open (an idle connection, standard input) does not keep the program up.
process.stdout.write('', error => (error ? leave(error) : process.exit(status)))
