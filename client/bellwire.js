// What users of the package import; its types are in bellwire.d.ts.

export { connect } from "./tab.js";
