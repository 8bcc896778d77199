/**
 * Names of the task queues, by capability. The planner puts a group on one of them, an engine worker polls all that
 * its device can serve, and `launch` refuses a queue without a live poller: all three read this file.
 */
import { type Backend, CONTROL_WORKER_QUEUES } from './contracts.ts';

/** `any` is served by every worker of the backend; the others by those whose device is named so. */
export const CPU_CLASSES = ['any', 'avx2', 'avx512'] as const;
export type CpuClass = (typeof CPU_CLASSES)[number];

/**
 * The queue of a backend and a device class: `kv.cpu.any`, `kv.cpu.avx512`, `kv.gpu.any`, `kv.gpu.h100-80`.
 * Without a class the group may run on any worker of that backend.
 */
export function engineQueue(backend: Backend, deviceClass = 'any'): string {
  return `${backend === 'cpu' ? 'kv.cpu' : 'kv.gpu'}.${deviceClass}`;
}

/**
 * All queues that a worker polls for one backend. CPU classes are nested: a host with AVX-512 also serves `avx2`.
 * `deviceClass` is one of {@link CPU_CLASSES} on a CPU, `<name>-<GiB>` on a GPU.
 */
export function servedQueues(backend: Backend, deviceClass = 'any'): string[] {
  if (backend === 'cuda') return [...new Set(['any', deviceClass])].map((c) => engineQueue('cuda', c));
  const rank = CPU_CLASSES.indexOf(deviceClass as CpuClass);
  return CPU_CLASSES.slice(0, Math.max(rank, 0) + 1).map((c) => engineQueue('cpu', c));
}

/** The CPU class of a feature list as `gpu-runner devices --json` prints it. */
export function cpuClass(features: readonly string[]): CpuClass {
  const has = (name: string) => features.some((f) => f.toLowerCase().replaceAll(/[^a-z0-9]/g, '') === name);
  if (has('avx512f') && has('avx512vnni')) return 'avx512';
  return has('avx2') ? 'avx2' : 'any';
}

/** Whether a queue is served by an engine worker (not by the control worker). */
export function isEngineQueue(queue: string): boolean {
  return !CONTROL_WORKER_QUEUES.includes(queue);
}
