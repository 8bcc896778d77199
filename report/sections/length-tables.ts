/** The tables of answer lengths: shares with bounds and intervals, excess over noise, ratios, quantiles, task types. */
import { artifactForm } from '../../analysis/artifact-form.ts';
import { FEW_CLUSTERS } from '../../analysis/bootstrap.ts';
import { D_QUANTILES, SHARES, type Share, type ShareName } from '../../analysis/length-summary.ts';
import { html, type Markup, more, type Part, type Table, table } from '../markup.ts';
import type { Estimated, LengthEntry } from '../model.ts';
import { fixed, minus, percent, pValue, ratio, whole } from '../words.ts';

export interface LengthContext {
  entries: readonly LengthEntry[];
  /** Told after each caption where a report has several settings. */
  where: string;
  name: (entry: LengthEntry) => Part;
}

const SHARE_NAMES = ['gt50', 'longer50', 'shorter50'] as const satisfies readonly ShareName[];

const labelled = { label: (e: LengthEntry) => e.label };

/** Value, then its interval in a line of its own. */
export function withInterval(value: string, e: Estimated | undefined, show: (x: number) => string): Markup {
  return html`${value}${e && html`<span class="ci">${show(e.lo)} to ${show(e.hi)}${e.wilson && ', Wilson'}</span>`}`;
}

/** Where cut answers leave a share open: its least and greatest value. */
export function boundsWords(share: Share): string {
  return share.hi - share.lo > 0 ? ` [${percent(share.lo)}, ${percent(share.hi)}]` : '';
}

const few = (e: LengthEntry) => e.nClusters < FEW_CLUSTERS && html`<span class="flag">few clusters</span>`;

export function shareTable({ entries, where, name }: LengthContext): Table {
  const column = (of: ShareName) => ({
    head: SHARES[of].says,
    cell: (e: LengthEntry) => {
      const s = e.summary[of]!;
      return withInterval(`${percent(s.value)}${boundsWords(s)}`, e.estimates[`share_${of}`], (x) => percent(x));
    },
  });
  const optional = (x: number | null) => (x === null ? '–' : percent(x));
  return table(
    `Shares of prompts; 95 % intervals over prompts below, [bounds] where cut answers leave a share open${where}`,
    entries,
    [
      { head: 'compressor', words: true, cell: (e) => html`${name(e)}${few(e)}` },
      { head: 'pairs', cell: (e) => whole(e.summary.n) },
      column('gt50'),
      column('longer50'),
      column('shorter50'),
      {
        head: 'identical',
        hint: 'all token ids are the same',
        cell: (e) => withInterval(optional(e.summary.shareSame), e.estimates.share_same, (x) => percent(x)),
      },
      { head: 'near', hint: '|D| at most 0.05', cell: (e) => optional(e.summary.shareNear) },
    ],
    labelled,
  );
}

export function excessTable({ entries, where, name }: LengthContext): Table | null {
  const measured = entries.filter((e) => e.noise && e.estimates.excess_share_gt50);
  if (measured.length === 0) return null;
  const points = (x: number) => `${x > 0 ? '+' : ''}${minus(fixed(100 * x, 1))}`;
  const rows = measured.flatMap((e) =>
    SHARE_NAMES.map((of) => ({ e, of, label: e.label, excess: e.estimates[`excess_share_${of}`] })),
  );
  return table(
    `Excess over the noise floor: share under the compressor minus share between two uncompressed runs, on the same prompts${where}`,
    rows,
    [
      { head: 'compressor', words: true, cell: ({ e }) => html`${name(e)}${few(e)}` },
      { head: 'share of prompts', words: true, cell: ({ of }) => SHARES[of].says },
      { head: 'compressor', cell: ({ e, of }) => percent(e.summary[of]!.value, 1) },
      { head: 'noise floor', cell: ({ e, of }) => percent(e.noise![of], 1) },
      { head: 'excess, points', cell: ({ excess: x }) => (x ? withInterval(points(x.value), x, points) : '–') },
      {
        head: 'p',
        hint: 'one-sided sign-flip test over prompts of “no more than the noise floor”',
        cell: ({ excess: x }) => (x?.p === undefined ? '–' : pValue(x.p)),
      },
    ],
    { label: (r) => r.label },
  );
}

const optionalRatio = (x: number | null) => (x === null ? '–' : ratio(x));

export function ratioTable({ entries, where, name }: LengthContext): Table {
  return table(
    `Length ratios, compressed to baseline; they answer different questions${where}`,
    entries,
    [
      { head: 'compressor', words: true, cell: name },
      {
        head: 'all tokens',
        hint: 'sum of compressed lengths over sum of baseline lengths: tokens to pay for',
        cell: (e) => withInterval(optionalRatio(e.summary.ratioOfMeans), e.estimates.ratio_of_means, ratio),
      },
      {
        head: 'typical prompt',
        hint: 'geometric mean of the ratios',
        cell: (e) => withInterval(optionalRatio(e.summary.geoRatio), e.estimates.geo_ratio, ratio),
      },
      { head: 'median', cell: (e) => optionalRatio(e.summary.medianRatio) },
      { head: 'mean of ratios', hint: 'led by short baselines', cell: (e) => optionalRatio(e.summary.meanOfRatios) },
      {
        head: 'p (Holm)',
        hint: 'sign-flip test of the typical ratio, adjusted over compressors: not noise among prompts, which says nothing on the noise floor',
        cell: (e) => (e.pHolm === null ? '–' : pValue(e.pHolm)),
      },
      {
        head: 'cut, baseline',
        hint: 'share of answers cut at the limit; ratios of cut answers understate lengthening',
        cell: (e) => cut(e.summary.censoredBase),
      },
      { head: 'cut, compressed', cell: (e) => cut(e.summary.censoredComp) },
    ],
    labelled,
  );
}

const cut = (share: number | null) => (share === null ? '–' : percent(share, 1));

export function quantileTable({ entries, where, name }: LengthContext): Table {
  const show = (x: number | null | undefined) => (x === null || x === undefined ? '–' : minus(fixed(x, 2)));
  return table(
    `Quantiles of D${where}`,
    entries,
    [
      { head: 'compressor', words: true, cell: name },
      ...D_QUANTILES.map((q, i) => ({
        head: `${fixed(q * 100, 0)} %`,
        cell: (e: LengthEntry) => show(e.summary.quantiles[i]),
      })),
      {
        head: 'IQR',
        hint: 'middle half: small = one uniform effect, wide = it depends on the prompt',
        cell: (e) => show(e.summary.iqr),
      },
    ],
    labelled,
  );
}

export function taskTable({ entries, where, name }: LengthContext): Table | null {
  const rows = entries.flatMap((e) => e.tasks.map((task) => ({ e, task, label: e.label })));
  if (rows.length === 0) return null;
  const share = (s: Share) => `${percent(s.value)}${boundsWords(s)}`;
  return table(
    `Lengths by task type${where}`,
    rows,
    [
      { head: 'compressor', words: true, cell: (r) => name(r.e) },
      { head: 'task type', words: true, cell: (r) => r.task.taskType },
      { head: 'pairs', cell: (r) => whole(r.task.n) },
      { head: SHARES.gt50.says, cell: (r) => share(r.task.gt50) },
      { head: SHARES.longer50.says, cell: (r) => share(r.task.longer50) },
      { head: SHARES.shorter50.says, cell: (r) => share(r.task.shorter50) },
      { head: 'all tokens', cell: (r) => optionalRatio(r.task.ratioOfMeans) },
      { head: 'typical prompt', cell: (r) => optionalRatio(r.task.geoRatio) },
    ],
    { label: (r) => r.label },
  );
}

/**
 * D as the artifact of the study draws it. The cut takes away the answers that became more than three times longer, so
 * this stands beside the distribution and never in its place. Null where single pairs are not at hand.
 */
export function artifactTable({ entries, where, name }: LengthContext): Markup | null {
  const rows = entries.filter((e) => e.ds.length > 0).map((e) => ({ e, form: artifactForm(e.ds) }));
  if (rows.length === 0) return null;
  const edge = (x: number) => minus(fixed(x, 1));
  return more(
    "In the form of the study's artifact",
    html`<p>Whole percent, halves to even; changes beyond 200 % dropped; 20 bins from the least to the largest value. For comparison with figures drawn that way only: what is dropped are the answers that grew most.</p>${table(
      `D in the artifact's form${where}`,
      rows,
      [
        { head: 'compressor', words: true, cell: ({ e }) => name(e) },
        { head: 'kept', cell: ({ form }) => whole(form.values.length) },
        { head: 'dropped', cell: ({ form }) => whole(form.dropped) },
        {
          head: 'bins: start in percent, density',
          words: true,
          cell: ({ form }) =>
            form.bins.map((bin) => `${edge(bin.start)}: ${bin.density.toPrecision(2)}`).join('; ') || 'all equal',
        },
      ],
      { label: ({ e }) => e.label },
    )}`,
  );
}
