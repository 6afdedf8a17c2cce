import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inflateSync } from "node:zlib";

import { ICONS, iconName } from "../icons.js";
import { draw } from "../icons/draw.js";

/** openITCOCKPIT's colours of states. */
const COLOURS = {
  "host-up": "#449d44",
  "host-down": "#c9302c",
  "host-unreachable": "#92a2a8",
  "service-ok": "#449d44",
  "service-warning": "#ec971f",
  "service-critical": "#c9302c",
  "service-unknown": "#92a2a8",
};
const SIZE_MAX = 13 * 1024;

const read = (file) => readFileSync(new URL(`../icons/${file}`, import.meta.url));

/** An indexed PNG of 8 bits: its size, and its pixels as colours. */
function decode(png) {
  assert.equal(png.toString("latin1", 0, 8), "\x89PNG\r\n\x1a\n");
  const chunks = { IDAT: Buffer.alloc(0) };
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    const name = png.toString("latin1", at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + png.readUInt32BE(at));
    chunks[name] = name === "IDAT" ? Buffer.concat([chunks.IDAT, body]) : body;
  }
  const [width, height] = [chunks.IHDR.readUInt32BE(0), chunks.IHDR.readUInt32BE(4)];
  // 8 bits, palette, deflate, filters, not interlaced.
  assert.deepEqual([...chunks.IHDR.subarray(8)], [8, 3, 0, 0, 0]);
  assert.equal(chunks.tRNS, undefined, "nothing is transparent");
  const rows = inflateSync(chunks.IDAT);
  for (let y = 0; y < height; y++) {
    const start = y * (width + 1);
    const filter = rows[start];
    for (let at = start + 1; at <= start + width; at++) {
      const left = at > start + 1 ? rows[at - 1] : 0;
      const up = y > 0 ? rows[at - width - 1] : 0;
      const corner = y > 0 && at > start + 1 ? rows[at - width - 2] : 0;
      rows[at] += [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
    }
  }
  const colour = (x, y) => `#${chunks.PLTE.toString("hex", 3 * rows[y * (width + 1) + 1 + x]).slice(0, 6)}`;
  return { width, height, colour };
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const off = [left, up, corner].map((value) => Math.abs(guess - value));
  return off[0] <= off[1] && off[0] <= off[2] ? left : off[1] <= off[2] ? up : corner;
}

/** What remains without colour: for each cell of an icon of 24 pixels, whether it is mostly the symbol. */
function shape({ colour }, background) {
  const cells = [];
  for (let cell = 0; cell < 24 * 24; cell++) {
    const [left, top] = [Math.floor(((cell % 24) * 512) / 24), Math.floor((Math.floor(cell / 24) * 512) / 24)];
    let symbol = 0;
    for (let y = 0; y < 21; y += 3) {
      for (let x = 0; x < 21; x += 3) symbol += colour(left + x, top + y) === background ? 0 : 1;
    }
    cells.push(symbol > 24);
  }
  return cells;
}

test("there is one icon for each state, and each has its colour", () => {
  assert.deepEqual([...ICONS].sort(), Object.keys(COLOURS).sort());
});

test("states lead to their icons, and what is no state to one that nobody knows", () => {
  assert.deepEqual([0, 1, 2].map((state) => iconName("host", state)), ["host-up", "host-down", "host-unreachable"]);
  assert.deepEqual(
    [0, 1, 2, 3].map((state) => iconName("service", state)),
    ["service-ok", "service-warning", "service-critical", "service-unknown"],
  );
  for (const state of [-1, 4, 0.5, NaN, undefined, null, "length"]) {
    assert.equal(iconName("service", state), "service-unknown");
    assert.equal(iconName("host", state), "host-unreachable");
  }
});

for (const name of ICONS) {
  test(`${name}.svg is what draw.js draws, on the colour of its state`, () => {
    const svg = read(`${name}.svg`).toString();
    assert.equal(svg, draw(name), "run: node client/icons/make.js");
    assert.match(svg, /viewBox="0 0 512 512"/);
    assert.ok(svg.includes(`<rect width="512" height="512" fill="${COLOURS[name]}"/>`));
  });

  test(`${name}.png is a small square of 512 pixels on the colour of its state`, () => {
    const png = read(`${name}.png`);
    assert.ok(png.length <= SIZE_MAX, `${png.length} bytes`);
    const { width, height, colour } = decode(png);
    assert.deepEqual([width, height], [512, 512]);
    for (const [x, y] of [[0, 0], [511, 0], [0, 511], [511, 511]]) assert.equal(colour(x, y), COLOURS[name]);
  });
}

test("icons differ by shape, also at 24 pixels and without colour", () => {
  const shapes = ICONS.map((name) => shape(decode(read(`${name}.png`)), COLOURS[name]));
  for (let one = 0; one < ICONS.length; one++) {
    for (let other = 0; other < one; other++) {
      const differ = shapes[one].filter((cell, at) => cell !== shapes[other][at]).length;
      assert.ok(differ >= 24, `${ICONS[one]} and ${ICONS[other]} differ in only ${differ} of 576 cells`);
    }
  }
});
