import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real servers and native modules: processes, not threads; and room for a busy machine.
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    globalSetup: ['test/support/postgres.ts', 'test/support/temporal-setup.ts'],
  },
});
