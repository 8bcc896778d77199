/**
 * A report as Markdown, for papers, issues and CI: the words and tables of the HTML, without charts and without any
 * markup of its own. Model output is untrusted text here too: prompts and answers are left out, labels are escaped.
 */
import { headlinePlace, headlines, speedTable, threeAnswers } from './answers.ts';
import { labelsOf } from './labels.ts';
import { limitsOf } from './limits.ts';
import type { Colors } from './marks.ts';
import { type Part, plainText, type Table } from './markup.ts';
import type { PooledSetting, ReportModel } from './model.ts';
import { entryName, poolName, settingName } from './names.ts';
import { groupSums, headlineSums, isWhole, negativeWords, sumName, sumNegatives } from './negatives.ts';
import { paretos } from './pareto.ts';
import { ranking } from './ranking.ts';
import { cacheTable, perplexityTable } from './sections/cache.ts';
import { keptTable } from './sections/kept.ts';
import { latencyTable, latencyWords, ownTable, ownWords } from './sections/latency.ts';
import { excessTable, quantileTable, ratioTable, shareTable, taskTable } from './sections/length-tables.ts';
import { advice, baselineWords, noiseText } from './sections/lengths.ts';
import { groupTable, headlineTable, ruleTable, runsWords } from './sections/negatives.ts';
import { paretoTable, paretoWords } from './sections/pareto.ts';
import { pooledLatencyTable, pooledLengthTables } from './sections/pooled.ts';
import { rankingTable, rankingWords } from './sections/ranking.ts';
import { conditions } from './sections/summary.ts';
import { ownLargestTable, rateTable } from './sections/throughput.ts';
import { plural, whole } from './words.ts';

/** Nothing of a prompt or label may become markup. */
function plain(text: string): string {
  return text.replace(/[\\`*_{}[\]<>#|~]/g, '\\$&').replace(/\s*\n\s*/g, ' ');
}

function grid(head: readonly { text: string; words: boolean }[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(plain).join(' | ')} |`;
  return [
    line(head.map((h) => h.text)),
    `|${head.map((h) => (h.words ? ' --- ' : ' ---: ')).join('|')}|`,
    ...rows.map(line),
  ].join('\n');
}

const table = (data: Table | null): string => (data ? `${plain(data.caption)}\n\n${grid(data.head, data.cells)}` : '');
const words = (part: Part): string => plain(plainText(part));
const bullets = (lines: readonly string[]): string => lines.map((line) => `- ${line}`).join('\n');

export function renderMarkdown(model: ReportModel): string {
  const { colors } = labelsOf(model);
  const sections: [title: string, parts: string[]][] = [
    ['Ranking', rankingParts(model, colors)],
    ...answerParts(model),
    [
      'Accuracy, memory, speed',
      paretos(model).flatMap((p) => [plain(paretoWords(p)), table(paretoTable(p, colors, `, ${p.model}`))]),
    ],
    [
      'Rates',
      [
        table(ownLargestTable(model.throughputs, '', colors)),
        ...model.throughputs.map((s) => table(rateTable(s, colors))),
      ],
    ],
    ['Length', lengthParts(model, colors)],
    ['Latency', latencyParts(model, colors)],
    ['Negative samples', negativeParts(model, colors)],
    ['Cache', cacheParts(model, colors)],
    ['Kept tokens', model.kept.length > 0 ? [table(keptTable(model.kept, colors))] : []],
    ['Limits', [bullets(limitsOf(model).map(plain))]],
    ['Provenance', provenanceParts(model)],
  ];
  const lines = headlines(model).map((l) => `**${plain(l.label)}**, ${plain(headlinePlace(l))}: ${l.says}`);
  const body = sections.flatMap(([title, parts]) => {
    const told = parts.filter((part) => part !== '');
    return told.length > 0 ? [`## ${title}`, ...told] : [];
  });
  return `${[`# kvsweep: ${plain(model.sweep.id)}`, plain(conditions(model)), bullets(lines), ...body].filter((part) => part !== '').join('\n\n')}\n`;
}

function rankingParts(model: ReportModel, colors: Colors): string[] {
  const ranked = ranking(model);
  return ranked ? [plain(rankingWords(ranked)), table(rankingTable(ranked, colors))] : [];
}

function answerParts(model: ReportModel): [string, string[]][] {
  return threeAnswers(model).map((b) => [
    b.question,
    [b.columns ? speeds(model) : bullets(b.lines.map(plain)), ...(b.notes ?? []).map(plain)],
  ]);
}

function speeds(model: ReportModel): string {
  const { labels, rows } = speedTable(model.throughputs);
  if (rows.length === 0) return 'Not measured in this sweep.';
  const head = ['phase', 'prompt tokens', 'batch', 'uncompressed, tokens/s', ...labels];
  return grid(
    head.map((text, i) => ({ text, words: i === 0 })),
    rows.map((row) => [
      row.where ? `${row.phase}, ${row.where}` : row.phase,
      whole(row.promptTokens),
      String(row.batch),
      row.base,
      ...row.cells,
    ]),
  );
}

function lengthParts(model: ReportModel, colors: Colors): string[] {
  const pooled = model.pooled.flatMap((pool) => [poolHead(pool), ...pooledLengthTables(pool, colors).map(table)]);
  const single = model.generations.flatMap((setting) => {
    const entries = setting.lengths.filter((entry) => !entry.inert && entry.summary.n > 0);
    const head = [`### ${plain(settingName(setting))}`, words(noiseText(setting)), words(baselineWords(setting))];
    if (entries.length === 0) return head;
    const context = { entries, where: '', name: (e: (typeof entries)[number]) => entryName(e, setting.lengths) };
    const tables = [shareTable, excessTable, ratioTable, quantileTable, taskTable].map((of) => table(of(context)));
    return [...head, words(advice(setting, entries)), ...tables];
  });
  return [...pooled, ...single];
}

const poolHead = (pool: PooledSetting) =>
  `### ${plural(pool.datasets.length, 'data set')} together, ${plain(poolName(pool))}`;

function latencyParts(model: ReportModel, colors: Colors): string[] {
  const pooled = model.pooled.flatMap((pool) => {
    const times = pooledLatencyTable(pool, colors);
    return times ? [poolHead(pool), table(times)] : [];
  });
  const single = model.generations.flatMap((setting) => {
    const shown = setting.latencies.filter((entry) => !entry.inert);
    if (shown.length === 0) return [];
    const own = setting.ownLargest;
    return [
      `### ${plain(settingName(setting))}`,
      bullets(shown.map((e) => plain(latencyWords(e)))),
      table(latencyTable(shown, '', colors)),
      ...(own.length > 0
        ? [
            bullets(own.map((e) => plain(ownWords(e)))),
            table(ownTable(own, "At each method's own largest batch, modelled", colors)),
          ]
        : []),
    ];
  });
  return [...pooled, ...single];
}

function negativeParts(model: ReportModel, colors: Colors): string[] {
  return model.negatives.flatMap((setting) => {
    const sums = headlineSums(setting);
    const groups = groupSums(setting);
    return [
      `### ${plain(setting.model)}`,
      bullets(sums.map((s) => `**${plain(sumName(s, sums))}**: ${plain(negativeWords(s))}`)),
      words(runsWords(sums)),
      table(headlineTable(sums, '', colors)),
      groups ? table(groupTable(groups, '', colors)) : '',
      table(ruleTable(sumNegatives(setting.rows.filter(isWhole)), '', colors)),
    ];
  });
}

function cacheParts(model: ReportModel, colors: Colors): string[] {
  const held = model.generations
    .filter((s) => s.caches.length > 0)
    .map((s) => table(cacheTable(s.caches, `${settingName(s)}: means over samples at their end`, colors)));
  return model.perplexities.length > 0 ? [...held, table(perplexityTable(model.perplexities, colors))] : held;
}

function provenanceParts({ sweep, provenance: p }: ReportModel): string[] {
  const lines = [
    ['sweep', `${sweep.id}, ${sweep.status}, created ${sweep.createdAt}`],
    ['spec sha256', p.specSha],
    ...p.versions,
    ...p.models.map((m) => [`model ${m.name}`, m.sha256]),
    ...p.promptSets.map((s) => [`prompts of ${s.dataset}`, s.sha256]),
    ...p.settings,
  ];
  const head = ['label', 'requested', 'effective', 'derived'].map((text) => ({ text, words: true }));
  const rows = p.configurations.map((c) => [c.label, c.requested, c.effective, c.derived]);
  return [
    bullets(lines.map(([name, value]) => `${plain(name!)}: ${plain(value!)}`)),
    rows.length > 0 ? grid(head, rows) : '',
  ];
}
