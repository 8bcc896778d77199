/** Parquet, written row group by row group: what is held in memory is one group. */
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import type { Format, Row, Sink } from './formats.ts';
import { typeOf } from './types.ts';

/** A group ends at so many rows, or so many characters of values: rows with answers and token ids are large. */
const GROUP_ROWS = 50_000;
const GROUP_CHARACTERS = 16 * 2 ** 20;

export const parquetFormat: Format = {
  extension: '.parquet',
  isText: false,
  encoder(columns, sink) {
    const types = columns.map((column) => typeOf(column.oid));
    const schema = columns.flatMap((column, i) => types[i]!.schema(column.name));
    const { writer, flush } = sinkWriter(sink);
    const parquet = new ParquetWriter({
      writer,
      schema: [{ name: 'root', num_children: columns.length }, ...schema],
      createdBy: 'kvsweep export',
    });
    let group: unknown[][] = columns.map(() => []);
    let characters = 0;
    const write = async () => {
      const data = group;
      group = columns.map(() => []);
      characters = 0;
      await parquet.write({
        columnData: columns.map((column, i) => ({ name: column.name, data: data[i] as never })),
        rowGroupSize: GROUP_ROWS,
      });
      await flush();
    };
    const add = (row: Row) => {
      for (const [i, text] of row.entries()) {
        group[i]!.push(text === null ? null : types[i]!.parquet(text));
        characters += text?.length ?? 0;
      }
    };
    return {
      async rows(rows) {
        for (const row of rows) {
          add(row);
          if (group[0]!.length >= GROUP_ROWS || characters >= GROUP_CHARACTERS) await write();
        }
      },
      async end() {
        if (group[0]!.length > 0) await write();
        await parquet.finish();
        await flush();
      },
    };
  },
};

/** A writer of the library that keeps one row group and hands its bytes to the sink. */
function sinkWriter(sink: Sink) {
  const writer = new ByteWriter();
  const flush = async () => {
    const bytes = new Uint8Array(writer.buffer, 0, writer.index).slice();
    writer.index = 0;
    if (bytes.length > 0) await sink(bytes);
  };
  return { writer, flush };
}
