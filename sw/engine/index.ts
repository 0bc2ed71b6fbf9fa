/** The engine: which upload is driven when, what pages may ask of it, and what they are told. */

export { isDatabaseError } from "./drive-upload.ts";
export { type Engine, startEngine } from "./engine.ts";
