/** The engine: which upload is driven when, what pages may ask of it, and what they are told. */

export { type Engine, startEngine } from "./engine.ts";
