import type { Migration, MigrationProvider } from 'kysely';
import * as content from './000001_content.ts';
import * as sweep from './000002_sweep.ts';
import * as measurements from './000003_measurements.ts';
import * as aggregates from './000004_aggregates.ts';
import * as views from './000005_views.ts';
import * as reader from './000006_reader.ts';
import * as cellUpdates from './000007_cell_updates.ts';
import * as family from './000008_family.ts';
import * as kept from './000009_kept.ts';
import * as cellInline from './000010_cell_inline.ts';
import * as aggregation from './000011_aggregation.ts';
import * as negatives from './000012_negatives.ts';
import * as modelledLatency from './000013_modelled_latency.ts';

/**
 * All migrations in order. A record, not a folder scan: it works in bundles and in compiled output. A released
 * migration is frozen; a change is a new file.
 */
export const MIGRATIONS: Record<string, Migration> = {
  '000001_content': content,
  '000002_sweep': sweep,
  '000003_measurements': measurements,
  '000004_aggregates': aggregates,
  '000005_views': views,
  '000006_reader': reader,
  '000007_cell_updates': cellUpdates,
  '000008_family': family,
  '000009_kept': kept,
  '000010_cell_inline': cellInline,
  '000011_aggregation': aggregation,
  '000012_negatives': negatives,
  '000013_modelled_latency': modelledLatency,
};

export const migrationProvider: MigrationProvider = {
  getMigrations: async () => MIGRATIONS,
};
