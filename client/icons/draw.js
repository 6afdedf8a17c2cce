/**
 * The drawings. An icon is a square of the state's colour with a white symbol around a white mark: the symbol says what
 * it is about (a screen: host, a gear wheel: service), the mark's shape says the state to those who do not see colours.
 *
 * Edges lie on multiples of 16 where they can, so that they stay sharp at 32, 64 and 128 pixels.
 */

const GREEN = "#449d44";
const ORANGE = "#ec971f";
const RED = "#c9302c";
const GREY = "#92a2a8";

const SCREEN =
  '<rect x="48" y="80" width="416" height="288" rx="24" fill="none" stroke="#fff" stroke-width="32"/>' +
  '\n  <path fill="#fff" d="M224 384h64v32h72a16 16 0 0 1 16 16v16H136v-16a16 16 0 0 1 16-16h72z"/>';

// The stroke rounds the corners; it adds 8 outside and takes 8 from the hole.
const GEAR =
  '<path fill="#fff" fill-rule="evenodd" stroke="#fff" stroke-width="16" stroke-linejoin="round" ' +
  `d="${wheel(10, 216, 176)}${hole(156)}"/>`;

// Marks are centred on 0,0. Those of strokes share `line`.
const line = 'fill="none" stroke="#fff" stroke-width="48" stroke-linecap="round" stroke-linejoin="round"';
const CHECK = `<path ${line} d="M-80 4l54 56L82-56"/>`;
const CROSS = `<path ${line} d="M-64-64L64 64M64-64L-64 64"/>`;
const TRIANGLE =
  '<path fill="#fff" stroke="#fff" stroke-width="24" stroke-linejoin="round" d="M0-100L96 68H-96z"/>' +
  '\n    <path stroke="COLOUR" stroke-width="32" stroke-linecap="round" d="M0-44v44M0 48v.1"/>';
const QUESTION =
  '<path fill="none" stroke="#fff" stroke-width="40" stroke-linecap="round" ' +
  'd="M-52-50a52 52 0 1 1 84 41c-18 14-32 21-32 44"/>' +
  '\n    <circle cy="96" r="24" fill="#fff"/>';
// A line that was cut.
const BROKEN =
  '<path fill="none" stroke="#fff" stroke-width="36" stroke-linecap="round" ' +
  'd="M-146 0h54M92 0h54M-56 76L-8-76M8 76L56-76"/>';

/** @type {Record<string, { colour: string, symbol: string, mark: string }>} */
const PARTS = {
  "host-up": { colour: GREEN, symbol: SCREEN, mark: CHECK },
  "host-down": { colour: RED, symbol: SCREEN, mark: CROSS },
  "host-unreachable": { colour: GREY, symbol: SCREEN, mark: BROKEN },
  "service-ok": { colour: GREEN, symbol: GEAR, mark: CHECK },
  "service-warning": { colour: ORANGE, symbol: GEAR, mark: TRIANGLE },
  "service-critical": { colour: RED, symbol: GEAR, mark: CROSS },
  "service-unknown": { colour: GREY, symbol: GEAR, mark: QUESTION },
};

/**
 * The text of an icon's SVG file.
 *
 * @param {string} name one of `ICONS` of `../icons.js`
 * @returns {string}
 */
export function draw(name) {
  const { colour, symbol, mark } = PARTS[name];
  const middle = symbol === SCREEN ? 224 : 256;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="512" height="512" viewBox="0 0 512 512">
  <rect width="512" height="512" fill="${colour}"/>
  ${symbol}
  <g transform="translate(256 ${middle})">
    ${mark.replace("COLOUR", colour)}
  </g>
</svg>
`;
}

/** The outline of a gear wheel around the middle: teeth from radius `inner` to `outer`, narrower outside. */
function wheel(teeth, outer, inner) {
  const turn = (2 * Math.PI) / teeth;
  const corners = [];
  for (let tooth = 0; tooth < teeth; tooth++) {
    // The four corners of a tooth, in parts of a turn from its middle.
    for (const [radius, part] of [[inner, -0.3], [outer, -0.2], [outer, 0.2], [inner, 0.3]]) {
      const angle = (tooth + part) * turn;
      corners.push(`${(256 + radius * Math.sin(angle)).toFixed(1)} ${(256 - radius * Math.cos(angle)).toFixed(1)}`);
    }
  }
  return `M${corners.join("L")}z`;
}

/** A circle around the middle, to be cut out. */
function hole(radius) {
  return `M${256 - radius} 256a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0z`;
}
