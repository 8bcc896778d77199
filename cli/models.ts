import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MODELS, modelName } from '../activities/model-catalogue.ts';
import { modelFacts } from '../activities/model-shape.ts';
import { type Command, EXIT } from './command.ts';
import { UsageError } from './usage-error.ts';

export const models: Command = {
  name: 'models',
  args: ['[file]'],
  about: 'models that a spec can name; with a .gguf file, what is in it',
  async run(context, [file]) {
    const folders = context.config.modelFolders;
    if (file !== undefined) {
      const known = MODELS.find((m) => m.name === file);
      const path = known ? folders.map((f) => join(f, known.file)).find((p) => existsSync(p)) : file;
      if (path === undefined || !existsSync(path))
        throw new UsageError(`model '${file}' was not found; \`kvsweep models\` lists the known ones`);
      const raw = await context.engine.inspect(path);
      const { shape, context: length, weightBytes, meta } = modelFacts(raw);
      const { chat_template, ...short } = meta;
      const summary = {
        path,
        sha256: raw.sha256,
        ...short,
        shape,
        context: length,
        weight_bytes: weightBytes.cpu,
        chat_template: chat_template !== null,
      };
      context.result(
        raw,
        Object.entries(summary)
          .map(([k, v]) => `${k.padEnd(14)} ${typeof v === 'object' ? JSON.stringify(v) : v}`)
          .join('\n'),
      );
      return EXIT.done;
    }
    const listed = MODELS.map((m) => {
      const found = folders.map((f) => join(f, m.file)).find((p) => existsSync(p));
      return { name: m.name, present: found !== undefined, path: found ?? null, about: m.about, source: m.source };
    });
    // Files that a user put into a models folder can be named by their file name.
    const others = folders.flatMap((folder) =>
      (existsSync(folder) ? readdirSync(folder) : [])
        .filter((name) => name.endsWith('.gguf') && !MODELS.some((m) => m.file === name))
        .map((name) => ({
          name,
          present: true,
          path: join(folder, name),
          about: modelName(name),
          source: 'a file of yours',
        })),
    );
    context.rows([...listed, ...others]);
    return EXIT.done;
  },
};
