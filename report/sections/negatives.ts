/** Prompts that the baseline handles well and the compressed model does not, beside the same count the other way round. */
import { groupChart, MAX_PANELS, thetaChart } from '../charts/negatives.ts';
import { figure } from '../figure.ts';
import { type Colors, swatch } from '../marks.ts';
import { choices, html, type Markup, more, note, type Table, table } from '../markup.ts';
import type { ReportModel } from '../model.ts';
import {
  HEADLINE_RULE,
  HEADLINE_THETA,
  NEGATIVE_RULES,
  type NegativeRule,
  type NegativesSetting,
} from '../model-scores.ts';
import {
  groupSums,
  headlineSums,
  isWhole,
  type NegativeSum,
  negativeWords,
  signed,
  sumName,
  sumNegatives,
} from '../negatives.ts';
import { percent, plural, pValue, whole } from '../words.ts';
import { examplesPart } from './negative-examples.ts';

const RULE_WORDS: Record<NegativeRule, string> = {
  default: 'baseline score at or above the median of its data set, and above 0',
  mean: 'baseline score at or above the mean of its data set',
  median: 'baseline score at or above the median of its data set, 0 included',
  artifact: 'as median, with the records of passage_count counted twice (the published plot)',
};

export async function negativesSection(model: ReportModel, colors: Colors): Promise<Markup> {
  const parts: Markup[] = [];
  for (const setting of model.negatives) parts.push(await settingPart(setting, colors, model.negatives.length > 1));
  return html`<section aria-labelledby="negatives"><h2 id="negatives">Negative samples</h2>
${
  parts.length === 0
    ? note('Not measured: no answers with references, scored on both sides, are in this sweep.')
    : html`<p>A prompt counts as negative at theta if the baseline does well on it and the compressed model loses at least theta of that score. Two noisy runs of one model make such prompts too, for the rule selects what the baseline did well on: <em>mirrored</em> is the same count with the roles swapped, <em>net</em> is the difference, and p says how likely such a difference is if both are alike (exact binomial, two-sided).</p>${parts}`
}</section>`;
}

async function settingPart(setting: NegativesSetting, colors: Colors, several: boolean): Promise<Markup> {
  const headline = headlineSums(setting);
  const where = several ? `, ${setting.model}` : '';
  const sums = sumNegatives(setting.rows.filter(isWhole));
  const charts: { name: string; content: Markup }[] = [];
  for (const rule of NEGATIVE_RULES) {
    const ofRule = sums.filter((s) => s.rule === rule);
    if (new Set(ofRule.map((s) => s.theta)).size < 2) continue;
    const caption = `Negatives by theta, rule ${rule}${where}`;
    charts.push({
      name: rule,
      content: await figure(thetaChart(ofRule, rule), caption, thetaTable(ofRule, `${caption}: counts`, colors)),
    });
  }
  const panels = new Set(sums.map((s) => sumName(s, sums))).size;
  return html`${several && html`<h3>${setting.model}</h3>`}
${setting.imported && note('Scores were imported from files: compressors are known by label only, and there are no texts, lengths or times.')}
<p>At theta ${percent(HEADLINE_THETA)}, rule ${HEADLINE_RULE}:</p>
<ul class="facts">${headline.map((s) => html`<li data-label="${s.label}"><strong>${sumName(s, headline)}</strong>: ${negativeWords(s)}</li>`)}</ul>
${runsWords(headline)}
${choices('Rule', charts)}
${panels > MAX_PANELS && note(`The first ${MAX_PANELS} compressors are drawn; the table has all.`)}
${headlineTable(headline, where, colors)}
${allTable(sums, where, colors)}
${await byGroup(setting, where, colors)}
${examplesPart(setting, colors)}`;
}

/** What single-run sets are worth. */
export function runsWords(sums: readonly NegativeSum[]): Markup {
  const [robust, single] = [sums.filter((s) => s.robust !== null), sums.filter((s) => s.robust === null)];
  if (sums.length === 0) return html``;
  const parts = [
    single.length > 0 && 'With one uncompressed run no prompt is called negative here, only the set of a single run.',
    robust.length > 0 &&
      'Robust: the uncompressed runs agree within theta, and the best compressed run still loses theta of the worst uncompressed one.',
    sums.every((s) => s.noiseNegatives === null) &&
      'Negatives between two uncompressed runs were not measured: there is no noise cell.',
  ].filter((part) => part !== false);
  return note(parts.join(' '));
}

const count = (n: number | null) => (n === null ? '–' : whole(n));

function columnsOf(sums: readonly NegativeSum[], colors: Colors) {
  return [
    {
      head: 'compressor',
      words: true,
      cell: named(sums, colors),
    },
    { head: 'theta', cell: (s: NegativeSum) => percent(s.theta) },
    { head: 'eligible', cell: (s: NegativeSum) => whole(s.eligible) },
    { head: 'negative', cell: (s: NegativeSum) => whole(s.negatives) },
    { head: 'mirrored', cell: (s: NegativeSum) => whole(s.mirrored) },
    { head: 'net', cell: (s: NegativeSum) => signed(s.net) },
    { head: 'p', cell: (s: NegativeSum) => pValue(s.p) },
    {
      head: 'noise',
      hint: 'negatives between two uncompressed runs',
      cell: (s: NegativeSum) => count(s.noiseNegatives),
    },
    { head: 'robust', hint: 'negative whichever runs are compared', cell: (s: NegativeSum) => count(s.robust) },
  ];
}

function thetaTable(sums: readonly NegativeSum[], caption: string, colors: Colors): Markup {
  return table(caption, sums, columnsOf(sums, colors).slice(0, 6), { label: (s) => s.label });
}

const named = (sums: readonly NegativeSum[], colors: Colors) => (s: NegativeSum) =>
  html`${swatch(s.label, colors)}${sumName(s, sums).slice(s.label.length)}`;

/** The rows that headlines are made of. */
export function headlineTable(sums: readonly NegativeSum[], where: string, colors: Colors): Table {
  const caption = `Negative samples, rule ${HEADLINE_RULE}, theta ${percent(HEADLINE_THETA)}${where}`;
  return table(caption, sums, columnsOf(sums, colors), { label: (s) => s.label });
}

/** Every rule and theta; on the page a reader chooses. */
export function ruleTable(sums: readonly NegativeSum[], where: string, colors: Colors): Table {
  const [name, ...rest] = columnsOf(sums, colors);
  const rows = rulesOf(sums).flatMap((rule) => sums.filter((s) => s.rule === rule));
  return table(
    `Negative samples by rule and theta${where}`,
    rows,
    [name!, { head: 'rule', words: true, cell: (s) => s.rule }, ...rest],
    { label: (s) => s.label, choice: (s) => ({ rule: s.rule, theta: percent(s.theta) }) },
  );
}

const rulesOf = (sums: readonly NegativeSum[]) => NEGATIVE_RULES.filter((rule) => sums.some((s) => s.rule === rule));

function allTable(sums: readonly NegativeSum[], where: string, colors: Colors): Markup {
  const rules = rulesOf(sums).map((rule) => html`<li><b>${rule}</b>: ${RULE_WORDS[rule]}.</li>`);
  return more(
    `Every rule and theta (${plural(sums.length, 'row')})`,
    html`<ul class="facts">${rules}</ul>${ruleTable(sums, where, colors)}`,
  );
}

async function byGroup(setting: NegativesSetting, where: string, colors: Colors): Promise<Markup> {
  const found = groupSums(setting);
  if (!found) return html``;
  return figure(groupChart(found.sums, found.by), groupCaption(found.by, where), groupTable(found, where, colors));
}

const groupCaption = (by: string, where: string) =>
  `Negatives by ${by}, rule ${HEADLINE_RULE}, theta ${percent(HEADLINE_THETA)}${where}`;

export function groupTable(
  { by, sums }: NonNullable<ReturnType<typeof groupSums>>,
  where: string,
  colors: Colors,
): Table {
  const rate = (n: number, s: NegativeSum) => (s.eligible === 0 ? '–' : `${whole(n)} (${percent(n / s.eligible, 1)})`);
  const score = (x: number | null) => (x === null ? '–' : percent(x, 1));
  return table(
    `${groupCaption(by, where)}: counts and rates`,
    sums,
    [
      { head: 'compressor', words: true, cell: named(sums, colors) },
      { head: by, words: true, cell: (s) => s.group },
      { head: 'eligible', cell: (s) => whole(s.eligible) },
      { head: 'negative', cell: (s) => rate(s.negatives, s) },
      { head: 'mirrored', cell: (s) => rate(s.mirrored, s) },
      { head: 'net', cell: (s) => signed(s.net) },
      { head: 'p', cell: (s) => pValue(s.p) },
      { head: 'baseline score', hint: 'mean over the negatives', cell: (s) => score(s.meanBase) },
      { head: 'compressed score', hint: 'mean over the negatives', cell: (s) => score(s.meanScore) },
    ],
    { label: (s) => s.label },
  );
}
