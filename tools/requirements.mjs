// What a machine must have before anything is installed, each with the version and a sentence for what is missing.
import { spawnSync } from 'node:child_process';

export const NODE_VERSION = [20, 3];
export const RUST_VERSION = [1, 89];
export const PYTHON_VERSION = [3, 8];

/** Sentences for what this machine lacks; empty = all there. `probe` runs a program and returns its output or null. */
export function missingRequirements(probe = runProgram, nodeVersion = process.versions.node) {
  const problems = [];
  if (!atLeast(nodeVersion, NODE_VERSION)) {
    problems.push(`Node.js ${NODE_VERSION.join('.')} or newer is needed, this is ${nodeVersion}; install Node 20 or later`);
  }
  const cargo = probe('cargo', ['--version']);
  if (cargo === null) {
    problems.push(`Rust is missing: \`cargo\` ${RUST_VERSION.join('.')} or newer builds the engine; install it with rustup`);
  } else if (!atLeast(cargo, RUST_VERSION)) {
    problems.push(`Rust ${RUST_VERSION.join('.')} or newer is needed, this is "${cargo}"; run \`rustup update\``);
  }
  const python = probe('python3', ['--version']);
  if (python === null || !atLeast(python, PYTHON_VERSION)) {
    const found = python === null ? 'it is missing' : `this is "${python}"`;
    problems.push(`Python ${PYTHON_VERSION.join('.')} or newer (\`python3\`) fetches the pinned files; ${found}`);
  } else if (probe('python3', ['-m', 'pip', '--version']) === null) {
    problems.push('pip is missing: `python3 -m pip` fetches the pinned files; install python3-pip');
  }
  return problems;
}

/** Whether the first version number in `text` is at least `wanted`. */
export function atLeast(text, wanted) {
  const found = /(\d+)\.(\d+)/.exec(text);
  if (!found) return false;
  const [major, minor] = [Number(found[1]), Number(found[2])];
  return major > wanted[0] || (major === wanted[0] && minor >= wanted[1]);
}

function runProgram(program, args) {
  const result = spawnSync(program, args, { encoding: 'utf8' });
  return result.status === 0 ? result.stdout.trim() : null;
}
