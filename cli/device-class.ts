import { z } from 'zod';
import type { Backend, JsonObject } from '../workflows/contracts.ts';
import { UsageError } from './usage-error.ts';

const shape = z.looseObject({
  cpu: z.looseObject({ name: z.string().min(1), cores: z.int() }),
  gpus: z.array(z.looseObject({ name: z.string() })).optional(),
});

/** What a `throughput` cell is measured on: the GPU's name, or the CPU's with the threads of the engine. */
export function deviceClassOf(devices: JsonObject, backend: Backend, threads: number | null): string {
  const { cpu, gpus } = shape.parse(devices);
  if (backend === 'cuda') {
    const name = gpus?.[0]?.name;
    if (name === undefined)
      throw new UsageError('backend cuda: the engine sees no GPU on this host (`gpu-runner devices`)');
    return name;
  }
  return `${cpu.name} x ${threads ?? cpu.cores}`;
}
