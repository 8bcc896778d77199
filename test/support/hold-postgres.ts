/** A process that starts a server, says so, and waits to be killed: `node --import tools/typescript.mjs ... <dataDir>`. */
import { argv, stdout } from 'node:process';
import { startPostgres } from '../../workers/embedded-postgres.ts';

const server = await startPostgres({ dataDir: argv[2]!, settings: { fsync: 'off' } });
stdout.write(`${JSON.stringify({ pid: server.pid, url: server.url })}\n`);
setInterval(() => undefined, 1000);
