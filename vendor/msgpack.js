// What the browser client takes of @msgpack/msgpack.

export { decode, encode } from "@msgpack/msgpack";
