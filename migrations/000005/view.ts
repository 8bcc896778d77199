/** A view of schema `kv`: its columns in order, each explained; `kvsweep schema` prints these texts from the catalogue. */
export interface View {
  name: string;
  /** One row per what, and what is left out. */
  comment: string;
  columns: Record<string, string>;
  /** A select that yields the columns in their order. */
  text: string;
}
