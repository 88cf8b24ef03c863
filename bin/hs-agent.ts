/** The program: hands the words, the environment and the working directory to the command line, and leaves with its exit status. */
import { runCommandLine } from './main.ts'

// A reader that has seen enough (`hs-agent export x | head`) is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
}

const status = await runCommandLine(process.argv.slice(2), { env: process.env, workingDirectory: process.cwd() })

// What was printed is written first; what is still open (an idle connection, standard input) does not keep the program up.
process.stdout.write('', () => process.exit(status))
