import { describe, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import {
  findFinished,
  insertPlan,
  loadPrompts,
  readCells,
  readEvents,
  readSweep,
  savePromptSet,
} from '../activities/ledger.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, promptSet, sha, sweepPlan } from './support/plans.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();

const cells = (id: string, n: number) => Array.from({ length: n }, (_, i) => cellPlan(`${id} ${i}`, { batch: i + 1 }));
const lists = [[1], [2], [3]];

test('a plan becomes numbered groups and cells; the generated columns say what will run', async () => {
  const [a, b, c] = cells('new', 3);
  const inserted = await insertPlan(database.db, sweepPlan('new', [[a!], [b!, c!]]));
  expect(inserted).toMatchObject({ sweepId: 'new', added: 3, reused: 0, attached: false });
  const rows = await readCells(database.db, inserted.sweepNo);
  expect(
    rows.map((row) => [row.groupNo, row.cellNo, row.key, row.batch, row.model, row.workload, row.backend, row.status]),
  ).toEqual([
    [0, 0, a!.key, 1, 'tiny', 'generate', 'cpu', 'pending'],
    [1, 1, b!.key, 2, 'tiny', 'generate', 'cpu', 'pending'],
    [1, 2, c!.key, 3, 'tiny', 'generate', 'cpu', 'pending'],
  ]);
});

test('what a later version knows of a model is added to what is stored', async () => {
  const plan = (id: string, meta: Record<string, string | boolean>) => ({
    ...sweepPlan(id, [[cellPlan(`${id} 0`)]]),
    models: [{ sha256: sha('model of two versions'), name: 'old', path: 'old.gguf', meta }],
  });
  await insertPlan(database.db, plan('meta-1', { context: '2048' }));
  await insertPlan(database.db, plan('meta-2', { context: '2048', bos: true }));
  await insertPlan(database.db, plan('meta-3', { context: '2048' }));
  const rows = await query(database.db, `select meta from model where path = 'old.gguf'`);
  expect(rows).toEqual([{ meta: { context: '2048', bos: true } }]);
});

test('batch max has no number until it has run', async () => {
  const plan = cellPlan('max');
  const { sweepNo } = await insertPlan(
    database.db,
    sweepPlan('max', [[{ ...plan, run: { ...plan.run, batch: 'max' }, batch: null }]]),
  );
  expect((await readCells(database.db, sweepNo))[0]!.batch).toBeNull();
});

test('the same plan again attaches and adds nothing, also ten times at once', async () => {
  const plan = sweepPlan('again', [cells('again', 3)]);
  const all = await Promise.all(Array.from({ length: 10 }, () => insertPlan(database.db, plan)));
  expect(new Set(all.map((one) => one.sweepNo)).size).toBe(1);
  expect(all.filter((one) => !one.attached).map((one) => one.added)).toEqual([3]);
  expect(all.filter((one) => one.attached).every((one) => one.added === 0)).toBe(true);
});

test('a superset adds its cells with later numbers and leaves a line of history', async () => {
  const three = cells('grow', 3);
  const { sweepNo } = await insertPlan(database.db, sweepPlan('grow', [three]));
  const more = sweepPlan('grow', [three, cells('grow', 5).slice(3)], {
    specSha: sha('grown'),
    spec: { name: 'grow', batch_sizes: [1, 2, 3, 4, 5] },
  });
  expect(await insertPlan(database.db, more, { user: 'ada' })).toMatchObject({ sweepNo, added: 2, attached: true });
  expect((await readCells(database.db, sweepNo)).map((cell) => [cell.groupNo, cell.cellNo])).toEqual([
    [0, 0],
    [0, 1],
    [0, 2],
    [1, 3],
    [1, 4],
  ]);
  expect((await readSweep(database.db, 'grow')).specSha).toBe(sha('grown'));
  expect(await readEvents(database.db, sweepNo)).toMatchObject([
    { user: 'ada', action: 'amend', reason: '2 cells added', old: { name: 'grow' } },
  ]);
});

describe('another spec under the same name', () => {
  test('is refused with the values that an axis has lost and the fields that changed', async () => {
    await insertPlan(
      database.db,
      sweepPlan('other', [cells('other', 3)], { spec: { batch_sizes: [1, 2, 3], limits: {} } }),
    );
    const fewer = sweepPlan('other', [cells('other', 1)], {
      specSha: sha('fewer'),
      spec: { batch_sizes: [1], limits: {} },
    });
    await expect(insertPlan(database.db, fewer)).rejects.toMatchObject({
      name: 'SpecConflict',
      differences: ['batch_sizes no longer has 2, 3', 'changed in the spec: batch_sizes'],
      message:
        'Sweep "other" exists with another spec: batch_sizes no longer has 2, 3; changed in the spec: batch_sizes. A spec may only add ' +
        'cells to a launched sweep; launch this one under another name (--id).',
    });
    expect((await readSweep(database.db, 'other')).specSha).toBe(sha('spec other'));
  });

  test('is refused too when the spec is the same and an input behind it has changed', async () => {
    await insertPlan(database.db, sweepPlan('inputs', [cells('inputs', 2)]));
    await expect(insertPlan(database.db, sweepPlan('inputs', [cells('other engine', 2)]))).rejects.toThrow(
      /the spec is the same, but 2 of 2 cells have other inputs now \(engine numerics, model file, prompts or device\)/,
    );
  });
});

describe('a key that another sweep has finished', () => {
  test('is done by reference, and the views show that run', async () => {
    const plan = cellPlan('shared');
    await finishedSweep(database.db, 'owner', [{ plan, lists }]);
    const second = await finishedSweep(database.db, 'borrower', [{ plan }, { plan: cellPlan('own'), lists }]);
    expect(second.reused).toBe(1);
    const rows = await readCells(database.db, second.sweepNo);
    expect(rows.map((row) => [row.status, row.reusedFrom])).toEqual([
      ['done', 'owner'],
      ['done', null],
    ]);
    const found = await findFinished(database.db, [plan, { ...plan, key: sha('nowhere') }], second.sweepNo);
    expect([...found].map(([key, from]) => [key, from.sweepId])).toEqual([[plan.key, 'owner']]);
    const shown = await query(
      database.db,
      `select sweep, reused_from, n_done, numerics, device from kv.cells where cell_key = $1 order by sweep`,
      [plan.key],
    );
    expect(shown).toEqual([
      { sweep: 'borrower', reused_from: 'owner', n_done: 3, numerics: 'cpu-1', device: 'test cpu' },
      { sweep: 'owner', reused_from: null, n_done: 3, numerics: 'cpu-1', device: 'test cpu' },
    ]);
    expect(await query(database.db, 'select count(*) as n from kv.samples where cell_key = $1', [plan.key])).toEqual([
      { n: 3 },
    ]);
  });

  test('is timed again unless one sweep timed all points of the model: rates of two occasions are not compared', async () => {
    const workload = { throughput: { prompt_tokens: 8, new_tokens: 4, warmup: 1, repeats: 2, seed: 1 } };
    const point = (name: string) => cellPlan(`point ${name}`, { workload, prompts: null, batch: 1 });
    const answers = cellPlan('answers beside points');
    const launch = async (id: string, names: string[], done: boolean) => {
      const { sweepNo, reused } = await insertPlan(database.db, sweepPlan(id, [[...names.map(point), answers]]));
      if (done)
        await query(
          database.db,
          `update cell set status = 'done', finished_at = clock_timestamp() where sweep_no = $1 and status = 'pending'`,
          [sweepNo],
        );
      const rows = await readCells(database.db, sweepNo);
      return { reused, from: Object.fromEntries(rows.map((row) => [row.key, row.reusedFrom])) };
    };
    await launch('timed a b', ['a', 'b'], true);
    const same = await launch('timed b', ['b'], true);
    expect(same).toEqual({ reused: 2, from: { [point('b').key]: 'timed a b', [answers.key]: 'timed a b' } });
    // c was never timed: a and b are timed again beside it, the answers are not made again
    const more = await launch('timed a b c', ['a', 'b', 'c'], true);
    expect(more.reused).toBe(1);
    expect(more.from[answers.key]).toBe('timed a b');
    // now two sweeps have a and b; only one has all three
    expect((await launch('all three', ['a', 'b', 'c'], true)).reused).toBe(4);
    const both = await launch('newest of two', ['a', 'b'], false);
    expect(both.from[point('a').key]).toBe('timed a b c');
    // c of one sweep and d of another are no comparison
    await launch('timed d', ['d'], true);
    expect((await launch('c and d', ['c', 'd'], false)).reused).toBe(1);
  });

  test('runs again with fresh, and every view but cells then shows the newest run', async () => {
    const plan = cellPlan('measured twice');
    await finishedSweep(database.db, 'first time', [{ plan, lists }]);
    const again = await finishedSweep(database.db, 'second time', [{ plan, lists: [[1], [2], [4]] }], { fresh: true });
    expect(again.reused).toBe(0);
    const texts = await query(
      database.db,
      'select text, token_ids from kv.samples where cell_key = $1 order by prompt_key',
      [plan.key],
    );
    expect(texts[2]).toEqual({ text: 'text of 4', token_ids: [4] });
    expect(
      await query(database.db, `select sweep, n_alarms from kv.cells where cell_key = $1 order by sweep`, [plan.key]),
    ).toEqual([
      { sweep: 'first time', n_alarms: 0 },
      { sweep: 'second time', n_alarms: 1 },
    ]);
  });
});

test('ten thousand cells are planned in one go', async () => {
  const many = Array.from({ length: 10_000 }, (_, i) => cellPlan(`many ${i}`));
  const groups = Array.from({ length: 200 }, (_, g) => many.slice(g * 50, g * 50 + 50));
  const started = Date.now();
  expect(await insertPlan(database.db, sweepPlan('many', groups))).toMatchObject({ added: 10_000 });
  expect(Date.now() - started).toBeLessThan(15_000);
});

test('a sweep of more than a million samples has a partition of its own', async () => {
  const plan = { ...cellPlan('huge'), nPlanned: 1_000_001 };
  const { sweepNo } = await finishedSweep(database.db, 'huge', [{ plan, lists }]);
  const rows = await query(
    database.db,
    'select tableoid::regclass::text as part, count(*) as n from sample where sweep_no = $1 group by 1',
    [sweepNo],
  );
  expect(rows).toEqual([{ part: `sample_${sweepNo}`, n: 3 }]);
});

describe('prompt sets', () => {
  test('come back in order and as they went in; a second store changes nothing', async () => {
    const set = {
      ...promptSet(3, 'forms'),
      prompts: [
        {
          key: 'forms/text',
          prompt: 'Hello "\\ \u{1f600}',
          maxNewTokens: 5,
          references: ['a', 'b,"c"'],
          taskType: 'qa',
          metric: 'qa_f1',
        },
        { key: 'forms/chat', messages: [{ role: 'user', content: 'Hi' }], meta: { words: 1 } },
        { key: 'forms/ids', tokens: [128000, 791], continuation: 'next' },
      ],
    };
    await savePromptSet(database.db, set);
    await savePromptSet(database.db, set);
    const rows = await loadPrompts(database.db, set.sha);
    expect(rows).toMatchObject([
      {
        sampleIdx: 0,
        key: 'forms/text',
        prompt: 'Hello "\\ \u{1f600}',
        maxNewTokens: 5,
        answers: ['a', 'b,"c"'],
        messages: null,
      },
      { sampleIdx: 1, messages: [{ role: 'user', content: 'Hi' }], meta: { words: 1 }, prompt: null },
      { sampleIdx: 2, tokens: [128000, 791], continuation: 'next' },
    ]);
  });

  test('with a NUL are refused by the name of the prompt', async () => {
    const set = { ...promptSet(1, 'nul'), prompts: [{ key: 'nul/0', prompt: 'a\0b' }] };
    await expect(savePromptSet(database.db, set)).rejects.toThrow('Prompt nul/0 holds a NUL character');
    const literal = {
      ...promptSet(1, 'literal'),
      prompts: [{ key: 'literal/0', prompt: 'the text \\u0000 is no NUL' }],
    };
    await savePromptSet(database.db, literal);
    expect((await loadPrompts(database.db, literal.sha))[0]!.prompt).toBe('the text \\u0000 is no NUL');
  });

  test('that are not stored are an error', async () => {
    await expect(loadPrompts(database.db, sha('none'))).rejects.toThrow(/No prompt set/);
  });
});

test('a replicate of a compressed cell names the cell that it repeats', async () => {
  const base = cellPlan('twins base');
  const cell = cellPlan('twins cell', { compressor: { kivi: { bits: 4 } }, baselineKey: base.key });
  const twin = cellPlan('twins twin', {
    compressor: { kivi: { bits: 4 } },
    baselineKey: base.key,
    batch: 8,
    noise: { kind: 'batch', no: 1 },
  });
  const { sweepNo } = await insertPlan(
    database.db,
    sweepPlan('twins', [[base, cell, { ...twin, replicateOf: cell.key }]]),
  );
  expect((await readCells(database.db, sweepNo)).map((row) => row.replicateOf)).toEqual([null, null, cell.key]);
  expect(
    await query(
      database.db,
      `select encode(replicate_of, 'hex') as of, encode(baseline_key, 'hex') as base, is_baseline, noise_kind, noise_no
         from cell where sweep_no = $1 and cell_no = 2`,
      [sweepNo],
    ),
  ).toEqual([{ of: cell.key, base: base.key, is_baseline: false, noise_kind: 'batch', noise_no: 1 }]);
});

test('throughput points of a group run in an order of their own, the same for the same sweep; other cells stay', async () => {
  const workload = { throughput: { prompt_tokens: 8, new_tokens: 8, warmup: 0, repeats: 5, seed: 1 } };
  const points = Array.from({ length: 8 }, (_, i) =>
    cellPlan(`order ${i}`, { workload, prompts: null, label: `p${i}` }),
  );
  const [first, last] = [cellPlan('order first', { label: 'first' }), cellPlan('order last', { label: 'last' })];
  const { sweepNo } = await insertPlan(database.db, sweepPlan('order', [[first, ...points, last]]));
  const labels = (await readCells(database.db, sweepNo)).map((cell) => cell.label);
  // Key kvsweep-order-1|order|0: SplitMix64 of the design written anew in Python (sha256, 64-bit wrap-around, Fisher-Yates)
  expect(labels).toEqual(['first', 'p0', 'p1', 'p6', 'p2', 'p5', 'p4', 'p7', 'p3', 'last']);
});
