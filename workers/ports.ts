/** Ports of the local stack: free ones are found once per checkout and kept, so that addresses stay the same. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { z } from 'zod';

const NAMES = ['postgres', 'temporal', 'temporalHttp', 'temporalMetrics'] as const;
export type StackPorts = Record<(typeof NAMES)[number], number>;
const schema = z.object({ postgres: z.int(), temporal: z.int(), temporalHttp: z.int(), temporalMetrics: z.int() });

/** The checkout's ports; one that another program has taken meanwhile is replaced. */
export async function choosePorts(file: string): Promise<StackPorts> {
  const stored = schema.safeParse(JSON.parse(await readFile(file, 'utf8').catch(() => 'null')));
  const ports: Partial<StackPorts> = {};
  for (const name of NAMES) {
    const kept = stored.success ? stored.data[name] : 0;
    let port = kept > 0 && (await isFree(kept)) ? kept : await freePort();
    // A probed port is free again at once, so the next probe may return it too.
    while (Object.values(ports).includes(port)) port = await freePort();
    ports[name] = port;
  }
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(ports)}\n`);
  return ports as StackPorts;
}

/** A port of the loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  return (await listenOnce(0))!;
}

export async function isFree(port: number): Promise<boolean> {
  return (await listenOnce(port)) !== null;
}

function listenOnce(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const { port: got } = server.address() as { port: number };
      server.close(() => resolve(got));
    });
  });
}
