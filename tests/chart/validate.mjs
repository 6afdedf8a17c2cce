// Validates Kubernetes objects, strictly: a field that the schema does not know is a problem too.
//
//   node validate.mjs SCHEMAS <objects.json      with [{"where", "version", "object"}, ...]; writes a list of problems, as JSON
//
// Kubernetes' own kinds: the strict JSON schemas in SCHEMAS/VERSION. Others: the models that people generate from their
// definitions, or where there is none, a schema of just the fields that the chart renders (schemas/).
import { readFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import Ajv from "ajv/dist/2020.js";

const schemas = process.argv[2];
const models = {
    "cert-manager.io": "@kubernetes-models/cert-manager",
    "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
    "networking.istio.io": "@kubernetes-models/istio",
    "keda.sh": "@kubernetes-models/keda",
    "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};
const options = { strict: false, validateFormats: false, allErrors: true };
const read = (...path) => JSON.parse(readFileSync(join(...path), "utf8"));

const said = (errors) =>
    errors.map((e) => `${e.instancePath || "/"} ${e.message} ${e.params.additionalProperty ?? e.params.allowedValues ?? ""}`.trim());

/** A function from an object to its problems, for each file. */
const compiled = new Map();
function bySchema(file, definitions) {
    if (!compiled.has(file)) {
        if (!existsSync(file)) return () => [`there is no ${file}`];
        const ajv = new Ajv(options);
        if (definitions) ajv.addSchema(read(definitions));
        const validate = ajv.compile(read(file));
        compiled.set(file, (object) => (validate(object) ? [] : said(validate.errors)));
    }
    return compiled.get(file);
}

/**
 * A copy that notes which fields are looked at. The generated validators accept fields that they do not know, as clusters
 * do, which drop them silently; but they look at each that they do know.
 */
function watched(value, path, notes, prototype = Object.prototype) {
    if (value === null || typeof value !== "object") return value;
    const copy = Array.isArray(value) ? [] : Object.create(prototype);
    for (const key of Object.keys(value)) copy[key] = watched(value[key], `${path}/${key}`, notes);
    if (Array.isArray(value)) return copy;
    const seen = new Set();
    notes.push({ path, keys: Object.keys(value), seen });
    return new Proxy(copy, {
        get(target, key) {
            seen.add(key);
            return target[key];
        },
    });
}

async function byModel(name, object) {
    const model = (await import(`${name}/${object.apiVersion}`))[object.kind];
    if (!model) return [`${name} does not know ${object.apiVersion} ${object.kind}`];
    const notes = [];
    const copy = watched(object, "", notes, model.prototype);
    const problems = [];
    try {
        copy.validate();
    } catch (error) {
        problems.push(error.message);
    }
    for (const { path, keys, seen } of notes) {
        // Where nothing is looked at, anything may stand; but not in all of it.
        if (seen.size === 0 && path !== "") continue;
        const unknown = keys.filter((key) => !seen.has(key));
        if (unknown.length > 0) problems.push(`${path || "/"} must not have ${unknown}`);
    }
    return problems;
}

async function problems({ version, object }) {
    const [group, name] = object.apiVersion.includes("/") ? object.apiVersion.split("/") : ["", object.apiVersion];
    if (models[group]) return byModel(models[group], object);
    const own = new URL(`schemas/${group}_${name}_${object.kind}.json`, import.meta.url).pathname;
    if (existsSync(own)) return bySchema(own, join(schemas, version, "_definitions.json"))(object);
    const file = [object.kind.toLowerCase(), group.split(".")[0], name].filter((part) => part).join("-");
    return bySchema(join(schemas, version, `${file}.json`), join(schemas, version, "_definitions.json"))(object);
}

const all = [];
const known = new Map();
for (const entry of JSON.parse(await text(process.stdin))) {
    const key = JSON.stringify([entry.version, entry.object]);
    if (!known.has(key)) known.set(key, await problems(entry));
    all.push(...known.get(key).map((problem) => `${entry.where}: ${problem}`));
}
process.stdout.write(JSON.stringify(all));
