/** What the numbers of a report do not say, derived from the numbers themselves. */
import { FEW_CLUSTERS } from '../analysis/bootstrap.ts';
import { MAX_BOUND_WIDTH } from '../analysis/length-summary.ts';
import { MAX_DRIFT } from '../analysis/throughput.ts';
import type { InertEntry, ReportModel } from './model.ts';
import { entryName } from './names.ts';
import { list, percent, plural } from './words.ts';

export function limitsOf(model: ReportModel): string[] {
  const out: string[] = [];
  const { cells, estimatesOpen } = model.sweep;
  if (cells.failed > 0) out.push(`${plural(cells.failed, 'cell')} failed; their numbers are missing here.`);
  if (cells.open > 0) out.push(`${plural(cells.open, 'cell')} not finished yet; this report is of what is done.`);
  if (estimatesOpen > 0)
    out.push(
      `Intervals and tests of ${plural(estimatesOpen, 'cell')} were still being computed and are missing or of fewer cells here; \`kvsweep report\` writes them when they are done.`,
    );
  if (cells.reused > 0)
    out.push(`${plural(cells.reused, 'cell')} taken from an earlier sweep with the same key, not run again.`);
  for (const setting of model.generations) {
    const where = model.generations.length > 1 ? `${setting.model}, ${setting.dataset}: ` : '';
    const clusters = Math.min(...setting.lengths.map((entry) => entry.nClusters));
    if (Number.isFinite(clusters) && clusters < FEW_CLUSTERS) {
      out.push(
        `${where}Few clusters: ${plural(clusters, 'prompt')}. Intervals over fewer than ${FEW_CLUSTERS} prompts are rough; read them as an order of size.`,
      );
    }
    const silent = setting.baselines.filter((baseline) => !baseline.noise);
    if (silent.length > 0 && setting.lengths.length > 0) {
      out.push(
        `${where}Noise floor not measured at batch ${list(silent.map((b) => b.batch))}: how far two uncompressed runs differ is unknown there.`,
      );
    }
    if (setting.baselines.some((baseline) => baseline.nondeterministic)) {
      out.push(
        `${where}Nondeterministic: a rerun of a baseline gave other tokens. That is a fault; the lengths below are not to be trusted.`,
      );
    }
    const open = setting.lengths.filter((entry) =>
      [entry.summary.gt50, entry.summary.longer50].some((s) => s && s.hi - s.lo > MAX_BOUND_WIDTH),
    );
    if (open.length > 0) {
      out.push(
        `${where}Answers cut at ${setting.maxNewTokens} tokens leave shares open by more than ${percent(MAX_BOUND_WIDTH)} for ${list(open.map((e) => entryName(e, setting.lengths)))}; the tables give both bounds. A larger limit would close them. Ratios of cut answers understate lengthening.`,
      );
    }
    const missing = setting.lengths.reduce((sum, e) => sum + e.nMissing + e.nMismatch, 0);
    if (missing > 0)
      out.push(`${where}${plural(missing, 'pair')} left out: a side failed, is missing, or saw other prompt tokens.`);
  }
  out.push(...model.inert.map(inertWords));
  out.push(...unsteady(model.throughputs));
  if (model.throughputs.some((setting) => setting.points.some((point) => point.inert)))
    out.push('Throughput cells whose compressor did not act are shown without a speed-up.');
  out.push(...scoreLimits(model));
  out.push(
    model.scores.length === 0 && model.negatives.length === 0
      ? 'Single prompts are shown by length and time. Whether an answer is right is not judged in this report.'
      : 'Answers are judged only where they have references; single prompts are shown by length and time.',
  );
  return out;
}

/** What to know before a rate is believed: said beside the rates too. */
export function unsteady(settings: ReportModel['throughputs']): string[] {
  const out: string[] = [];
  const points = settings.flatMap((setting) => setting.points);
  const noisy = points.filter((point) => point.noisy).length;
  if (noisy > 0)
    out.push(
      `${noisy} of ${points.length} rates are noisy: the middle half of their repeats spreads over more than 5 % of the median.`,
    );
  if (points.some((point) => (point.drift ?? 0) > MAX_DRIFT)) {
    out.push(
      'The machine drifted: the first baseline point, timed again at the end, moved by more than 3 %. Rates of that group are marked.',
    );
  }
  return out;
}

/** What holds of every list of negative samples. */
function scoreLimits(model: ReportModel): string[] {
  if (model.negatives.length === 0) return [];
  const imported = model.negatives.some((setting) => setting.imported);
  return [
    'Negative samples: scores of long summaries vary smoothly, so summarisation fills the set, while those of short answers are near 0 or 1 and rarely cross a threshold. Read them by task type.',
    'Chat template and stop ids move scores more than compressors do (a published qasper baseline went from 27 to about 44 with the template). They belong to the key of a cell, and only cells with the same ones are compared.',
    ...(imported
      ? [
          'Imported scores: the published runs use no chat template and no end-of-turn stop; one run each, so every set is of a single run.',
        ]
      : []),
  ];
}

/** Which cell compressed nothing, and what tells why: its longest sample beside the parameters that it ran with. */
export function inertWords(entry: InertEntry): string {
  const { label, batch, workload, dataset, samples, longest, effective, derived } = entry;
  const where = [workload, dataset, `batch ${batch ?? 'max'}`].filter((part) => part !== null).join(', ');
  const why =
    longest === null
      ? 'no sequence was long enough for it to act'
      : `none of its ${plural(samples, 'sample')} was long enough for it to act, the longest had ${plural(longest, 'token')}`;
  const by = derived === '{}' ? effective : `${effective}, derived ${derived}`;
  return `${label} (${where}) left the cache as it was and is kept out of comparisons: ${why}. It ran as ${by}.`;
}
