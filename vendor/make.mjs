// Bundles what the page borrows into static/vendor: one file each, its version in the name, its licence beside it.
// Run by `make vendor`, after `npm ci`; what it writes is committed.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const TARGET = new URL("../static/vendor/", import.meta.url).pathname;
const MODULES = new URL("./node_modules/", import.meta.url).pathname;

const versionOf = (name) => JSON.parse(readFileSync(`${MODULES}${name}/package.json`, "utf8")).version;

function licences(names) {
  return names.map((name) => `${name} ${versionOf(name)}\n\n${readFileSync(`${MODULES}${name}/LICENSE`, "utf8").trim()}\n`).join("\n\n");
}

async function bundle(name, entry, parts) {
  const file = `${name}-${versionOf(parts[0])}`;
  const stem = `${TARGET}${file}`;
  const banner = `/* ${parts.map((part) => `${part} ${versionOf(part)}`).join(", ")}: ${file}.LICENSE */`;
  await build({
    entryPoints: [entry],
    outfile: `${stem}.js`,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    banner: { js: banner },
  });
  writeFileSync(`${stem}.LICENSE`, licences(parts));
}

rmSync(TARGET, { recursive: true, force: true });
mkdirSync(TARGET);
await bundle("preact", new URL("./preact.js", import.meta.url).pathname, ["preact", "htm", "@preact/signals", "@preact/signals-core"]);
await bundle("msgpack", new URL("./msgpack.js", import.meta.url).pathname, ["@msgpack/msgpack"]);
await bundle("uplot", `${MODULES}uplot/dist/uPlot.esm.js`, ["uplot"]);
