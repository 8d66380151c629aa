// Copies the browser parts that the pages use out of node_modules into vendor/, which git ignores.
// Only the import of what is minified already; no bundler.
import { copyFileSync, mkdirSync, rmSync, writeFileSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "..", "..", "..", "node_modules");
const vendor = join(here, "vendor");

const PARTS = {
  "hls.mjs": "hls.js/dist/hls.min.mjs", // the full build: the light one cannot send CMCD
  "hls.LICENSE": "hls.js/LICENSE",
  "uplot.mjs": "uplot/dist/uPlot.esm.js",
  "uplot.css": "uplot/dist/uPlot.min.css",
  "uplot.LICENSE": "uplot/LICENSE",
};

rmSync(vendor, { recursive: true, force: true });
mkdirSync(vendor, { recursive: true });
for (const [name, source] of Object.entries(PARTS)) copyFileSync(join(modules, source), join(vendor, name));

// The map is not served: without this line a browser's tools would ask for it in vain.
const hls = join(vendor, "hls.mjs");
writeFileSync(hls, readFileSync(hls, "utf8").replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n"));
console.log(`${Object.keys(PARTS).length} browser parts in ${vendor}`);
