// What users of the package import; its types are in bellwire.d.ts.

export { Notifier } from "./notifier.js";
export { connect } from "./tab.js";
