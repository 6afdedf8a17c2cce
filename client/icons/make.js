#!/usr/bin/env node
/**
 * Writes the icons anew: the SVG files from the drawings in `draw.js`, the PNG files from the SVG files.
 * Needs Debian's packages librsvg2-bin and optipng. Only who changes a drawing runs it: the files are committed.
 */

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { ICONS } from "../icons.js";
import { draw } from "./draw.js";

const folder = fileURLToPath(new URL(".", import.meta.url));
for (const name of ICONS) {
  const path = `${folder}${name}`;
  writeFileSync(`${path}.svg`, draw(name));
  execFileSync("rsvg-convert", ["--width=512", "--height=512", `--output=${path}.png`, `${path}.svg`]);
}
// Without loss; two colours and what lies between them fit a palette.
execFileSync("optipng", ["-quiet", "-strip", "all", "-o5", ...ICONS.map((name) => `${folder}${name}.png`)]);
