// From a task's JSON Schema to form fields, and from what was typed back to arguments. Pure.

const LINE_TYPES = new Set(["string", "integer", "number"]);
const SIMPLE = { string: "text", integer: "integer", number: "number", boolean: "boolean" };

/** Options of a submit that are not arguments; the same machinery draws them. */
export const OPTIONS = Object.freeze({
  type: "object",
  properties: {
    delay_s: { type: "number", title: "Delay", description: "seconds to wait before it is queued", minimum: 0 },
    priority: { type: "integer", title: "Priority", description: "−10 to 10, higher first", minimum: -10, maximum: 10 },
    tags: { type: "array", title: "Tags", items: { type: "string" } },
  },
});

/** The fields of a form, in the order of the schema. */
export function fieldsOf(schema) {
  const required = new Set(schema?.required ?? []);
  return Object.entries(schema?.properties ?? {}).map(([name, part]) => {
    const { type, nullable } = resolve(part, schema);
    const kind = kindOf(type, schema);
    return {
      name,
      kind,
      nullable,
      required: required.has(name),
      help: part.description ?? type.description ?? "",
      choices: kind === "choice" ? choicesOf(type) : [],
      itemType: kind === "lines" ? resolve(type.items, schema).type.type : null,
      bounds: boundsOf(type),
      initial: initialOf(kind, part.default),
      hasDefault: part.default !== undefined && part.default !== null,
    };
  });
}

// Pydantic writes `X | None` as anyOf with null, and models and enums as references into $defs.
function resolve(part, root) {
  if (part?.$ref) return resolve(lookUp(part.$ref, root), root);
  if (part?.allOf?.length === 1) return resolve(part.allOf[0], root);
  const options = part?.anyOf?.filter((option) => option.type !== "null");
  if (options?.length === 1) return { type: resolve(options[0], root).type, nullable: part.anyOf.length > 1 };
  return { type: part ?? {}, nullable: false };
}

function lookUp(reference, root) {
  return reference.replace(/^#\//, "").split("/").reduce((node, key) => node?.[key], root) ?? {};
}

function kindOf(type, root) {
  if (type.enum || type.const !== undefined) return "choice";
  if (type.type === "array" && LINE_TYPES.has(resolve(type.items, root).type.type)) return "lines";
  return SIMPLE[type.type] ?? "json";
}

function choicesOf(type) {
  return (type.enum ?? [type.const]).map((value) => ({ value, label: typeof value === "string" ? value : JSON.stringify(value) }));
}

function boundsOf(type) {
  return { min: type.minimum, max: type.maximum };
}

function initialOf(kind, value) {
  if (kind === "boolean") return value === true;
  if (value === undefined || value === null) return "";
  if (kind === "lines") return Array.isArray(value) ? value.join("\n") : "";
  if (kind === "json") return JSON.stringify(value, null, 2);
  return kind === "text" || typeof value === "string" ? String(value) : JSON.stringify(value);
}

/** What was typed (`{name: string | boolean}`) to arguments. Field errors come back as the server would name them. */
export function readFields(fields, raw, prefix = "args.") {
  const args = {};
  const errors = [];
  for (const field of fields) {
    try {
      const value = readOne(field, raw[field.name]);
      if (value !== undefined) args[field.name] = value;
    } catch (error) {
      errors.push({ field: prefix + field.name, message: error.message });
    }
  }
  return { args, errors };
}

function readOne(field, typed) {
  if (field.kind === "boolean") return typed === true;
  const text = field.kind === "text" ? typed : typed.trim();
  return text === "" ? readEmpty(field) : READERS[field.kind](text, field);
}

// Empty means "leave it to the server", but for a text whose default was wiped out on purpose.
function readEmpty(field) {
  if (field.required && field.kind === "lines") return [];
  if (field.required) throw new Error("is required");
  if (field.kind === "text" && field.hasDefault) return "";
  if (field.kind === "lines" && field.hasDefault) return [];
  return field.nullable && field.hasDefault ? null : undefined;
}

const READERS = {
  text: (text) => text,
  integer: readInteger,
  number: readNumber,
  choice: (text, field) => field.choices.find((choice) => choice.label === text)?.value,
  lines: (text, field) => text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => readLine(line, field)),
  json: readJson,
};

function readLine(line, { itemType }) {
  return itemType === "string" ? line : READERS[itemType](line);
}

function readInteger(text) {
  if (!/^[+-]?\d+$/.test(text)) throw new Error(`“${text}” is not a whole number`);
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error("is larger than a web page can send exactly");
  return value;
}

function readNumber(text) {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Error(`“${text}” is not a number`);
  return value;
}

function readJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("is not JSON");
  }
}

/** The field an error of the server belongs to ("args.urls.0" → "urls"), or null for the form as a whole. */
export function fieldOfError({ field }, fields, prefix = "args.") {
  if (!field?.startsWith(prefix)) return null;
  const name = field.slice(prefix.length).split(".")[0];
  return fields.some((candidate) => candidate.name === name) ? name : null;
}
