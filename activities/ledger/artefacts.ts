/** Calibration artefacts: content-addressed bytes, and which question each of them answers. */
import { createHash } from 'node:crypto';
import type { CalibrateInput } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';
import { fromHex, toJsonb } from './bytes.ts';

export interface FoundArtefact {
  sha256: string;
  bytes: number;
}

/** The artefact of a calibration key; null if none was made. */
export async function findCalibration(db: Db, key: string): Promise<FoundArtefact | null> {
  const [row] = await query<FoundArtefact>(
    db,
    `select encode(a.sha, 'hex') as sha256, octet_length(a.bytes) as bytes
       from calibration c join artefact a on a.sha = c.artefact_sha
      where c.key = $1`,
    [fromHex(key)],
  );
  return row ?? null;
}

/** Stores an artefact with the question that it answers. If another run was faster, its artefact stays and is returned. */
export async function saveCalibration(db: Db, input: CalibrateInput, bytes: Uint8Array): Promise<FoundArtefact> {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const [method, parameters] = Object.entries(input.compressor)[0]!;
  await db.transaction().execute(async (trx) => {
    await query(
      trx,
      `insert into artefact (sha, kind, bytes) values ($1, $2, $3)
           on conflict do nothing`,
      [fromHex(sha256), `calibration of ${method}`, Buffer.from(bytes)],
    );
    await query(
      trx,
      `insert into calibration (key, artefact_sha, compressor, parameters, model_sha, token_set, numerics)
       values ($1, $2, $3, $4, $5, $6, $7)
           on conflict do nothing`,
      [
        fromHex(input.key),
        fromHex(sha256),
        method,
        toJsonb(parameters),
        fromHex(input.model.sha256),
        fromHex(input.tokenSet),
        input.numerics,
      ],
    );
  });
  return (await findCalibration(db, input.key))!;
}

export async function hasArtefact(db: Db, sha256: string): Promise<boolean> {
  const rows = await query(db, 'select 1 as there from artefact where sha = $1', [fromHex(sha256)]);
  return rows.length > 0;
}

/** The bytes of an artefact; null if none has that hash. */
export async function readArtefact(db: Db, sha256: string): Promise<Buffer | null> {
  const [row] = await query<{ bytes: Buffer }>(db, 'select bytes from artefact where sha = $1', [fromHex(sha256)]);
  return row?.bytes ?? null;
}
