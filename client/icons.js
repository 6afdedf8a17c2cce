/** The pictures that notifications carry: one per kind of object and state. `icons/make.js` draws them. */

const HOST = ["host-up", "host-down", "host-unreachable"];
const SERVICE = ["service-ok", "service-warning", "service-critical", "service-unknown"];

/** Every icon's name: `icons/NAME.svg` is the source, `icons/NAME.png` what notifications show. */
export const ICONS = Object.freeze([...HOST, ...SERVICE]);

/**
 * The name of the icon for a state. What is no state of that kind looks like one that nobody knows: unreachable for a
 * host, unknown for a service.
 *
 * @param {"host" | "service"} kind
 * @param {number} state as Nagios counts: hosts 0 up, 1 down, 2 unreachable; services 0 OK, 1 warning, 2 critical,
 *     3 unknown
 * @returns {string} one of {@link ICONS}
 */
export function iconName(kind, state) {
  const [names, unknown] = kind === "host" ? [HOST, "host-unreachable"] : [SERVICE, "service-unknown"];
  return (Number.isInteger(state) ? names[state] : undefined) ?? unknown;
}
