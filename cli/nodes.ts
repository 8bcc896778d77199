import { livePollers } from '../activities/queues.ts';
import { CONTROL_WORKER_QUEUES } from '../workflows/contracts.ts';
import { CPU_CLASSES, engineQueue } from '../workflows/queues.ts';
import { type Command, EXIT } from './command.ts';

export const nodes: Command = {
  name: 'nodes',
  about: 'workers that poll now, by queue',
  options: [{ flags: '--queue <name>', about: 'another queue to ask for, as kv.gpu.h100-80', many: true }],
  async run(context, _args, options) {
    const { workflow } = await context.temporal();
    const queues = [
      ...CONTROL_WORKER_QUEUES,
      ...CPU_CLASSES.map((c) => engineQueue('cpu', c)),
      engineQueue('cuda'),
      ...((options.queue as string[] | undefined) ?? []),
    ];
    const rows = [];
    for (const queue of queues) {
      for (const p of await livePollers(workflow, queue, Date.now())) {
        rows.push({ queue, worker: p.identity, slots: p.slots, last_seen_s: Math.round(p.ageMs / 1000) });
      }
    }
    context.rows(rows, ['queue', 'worker', 'slots', 'last_seen_s']);
    return rows.length > 0 ? EXIT.done : EXIT.failed;
  },
};
