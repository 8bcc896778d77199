// A headless Chromium spoken to over its debugging pipe: file descriptors 3 and 4, messages ended by a zero byte. Needs no
// package and opens no port.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAME = process.env.KVSWEEP_CHROMIUM ?? 'chromium';

/** Starts the browser, hands `work` a page, and ends the browser whatever happens. */
export async function withPage(work) {
  const profile = await mkdtemp(join(tmpdir(), 'kvsweep-browser-'));
  const root = process.getuid?.() === 0;
  const args = [
    '--headless=new',
    '--remote-debugging-pipe',
    `--user-data-dir=${profile}`,
    '--hide-scrollbars',
    '--force-color-profile=srgb',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    // the sandbox refuses to run as root
    ...(root ? ['--no-sandbox'] : []),
  ];
  const child = spawn(NAME, args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    return await Promise.race([
      work(await pageOf(child)),
      new Promise((_, reject) => {
        child.once('error', (cause) =>
          reject(new Error(`cannot start ${NAME}: install Chromium, or name its program in KVSWEEP_CHROMIUM`, { cause })),
        );
        child.once('exit', (code) => reject(new Error(`${NAME} ended with ${code} before the work was done`)));
      }),
    ]);
  } finally {
    child.kill('SIGTERM');
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 3000))]);
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

async function pageOf(child) {
  const [, , , input, output] = child.stdio;
  const waiting = new Map();
  const listeners = new Map();
  let last = 0;
  let rest = '';
  output.setEncoding('utf8');
  output.on('data', (text) => {
    const parts = (rest + text).split('\0');
    rest = parts.pop();
    for (const part of parts) {
      const message = JSON.parse(part);
      if (message.id) {
        const { resolve, reject } = waiting.get(message.id);
        waiting.delete(message.id);
        if (message.error) reject(new Error(message.error.message));
        else resolve(message.result);
      } else for (const once of listeners.get(message.method)?.splice(0) ?? []) once(message.params);
    }
  });
  input.on('error', () => {});
  const call = (method, params = {}, sessionId) =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, { resolve, reject });
      input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
  const send = (method, params) => call(method, params, sessionId);
  await send('Page.enable');
  return {
    send,
    async open(url) {
      const loaded = new Promise((resolve) => {
        listeners.set('Page.loadEventFired', [resolve]);
      });
      await send('Page.navigate', { url });
      await loaded;
    },
    /** Value of an expression in the page; promises are awaited. */
    async evaluate(expression) {
      const { result, exceptionDetails } = await send('Runtime.evaluate', {
        expression,
        awaitPromise: true,
        returnByValue: true,
      });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    async look({ width, scheme }) {
      await send('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: width < 600 });
      await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
    },
    async screenshot(clip) {
      const { data } = await send('Page.captureScreenshot', {
        format: 'png',
        captureBeyondViewport: true,
        clip: { ...clip, scale: 1 },
      });
      return Buffer.from(data, 'base64');
    },
  };
}
