import type { Reporter, TestModule } from 'vitest/node'

/**
 * Prints the run's closing line, `N passed, N failed, N skipped`, which continuous integration reads. There (CI=true) a suite that could
 * not run is a failure: what was not tried is not known to work.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      if (module.errors().length > 0) count.failed += 1
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed' || state === 'failed') count[state] += 1
        else count.skipped += 1
      }
    }
    if (process.env['CI'] === 'true' && count.skipped > 0) process.exitCode = 1
    console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`)
  }
}
