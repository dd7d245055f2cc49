// Binary parts that clients send and receive.

const isBinary = (value) => ArrayBuffer.isView(value) || value instanceof ArrayBuffer;

/**
 * A copy with each binary part as `<hex>`: each kind of client delivers binary parts in a type of its own, and only
 * their bytes are promised. A part that came back as a placeholder, or as JSON of its bytes, stays visible.
 */
export function readable(value) {
  if (isBinary(value)) return `<${bytes(value).toString("hex")}>`;
  if (Array.isArray(value)) return value.map(readable);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, readable(part)]));
}

function bytes(value) {
  return value instanceof ArrayBuffer ? Buffer.from(value) : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/** Every byte value, in a length that base64 has to pad. */
export const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
