// Counts of passed and failed tests, from what the two runners print.

/** Sums the `test result:` lines of all test binaries. */
export function countCargo(text) {
  const total = { passed: 0, failed: 0 };
  for (const [, passed, failed] of text.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm)) {
    total.passed += Number(passed);
    total.failed += Number(failed);
  }
  return total;
}

/** Tests of vitest's JSON report; a file that failed to load holds no test but counts as one failure. */
export function countVitest(report) {
  const unloaded = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  return { passed: report.numPassedTests, failed: report.numFailedTests + unloaded.length };
}
