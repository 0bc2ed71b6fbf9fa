import type { Line } from "./fault.ts";

export type Method = "single" | "multipart";

/** A request that faults can strike: a column of the table. */
export interface Target {
  readonly methods: readonly Method[];
  readonly line: Line;
  readonly request: string;
  /** S3's name of it, where that depends on the method. */
  readonly operation?: Readonly<Record<Method, string>>;
  /**
   * The request comes only after a part is in doubt, S3 has refused the signature that came with `begin`, the
   * upload has failed, or the answer to `begin` was lost.
   */
  readonly lead?: "part in doubt" | "signature refused" | "failed" | "begin lost";
  /** Whether the answer has a body. */
  readonly isAnswered: boolean;
}

const BOTH: readonly Method[] = ["single", "multipart"];
const PARTS: readonly Method[] = ["multipart"];

export const TARGETS: readonly Target[] = [
  { methods: BOTH, line: "control", request: "begin", isAnswered: true },
  { methods: BOTH, line: "control", request: "sign", isAnswered: true, lead: "signature refused" },
  { methods: BOTH, line: "control", request: "parts", isAnswered: true, lead: "part in doubt" },
  { methods: BOTH, line: "control", request: "complete", isAnswered: true },
  { methods: PARTS, line: "control", request: "abort", isAnswered: true, lead: "failed" },
  { methods: BOTH, line: "data", request: "Preflight", isAnswered: false },
  {
    methods: BOTH,
    line: "data",
    request: "PUT",
    isAnswered: false,
    operation: { single: "PutObject", multipart: "UploadPart" },
  },
  { methods: PARTS, line: "behind", request: "CreateMultipartUpload", isAnswered: true },
  { methods: PARTS, line: "behind", request: "ListParts", isAnswered: true, lead: "part in doubt" },
  { methods: PARTS, line: "behind", request: "CompleteMultipartUpload", isAnswered: true },
  { methods: BOTH, line: "behind", request: "HeadObject", isAnswered: false },
  { methods: PARTS, line: "behind", request: "AbortMultipartUpload", isAnswered: false, lead: "failed" },
  { methods: PARTS, line: "behind", request: "ListMultipartUploads", isAnswered: true, lead: "begin lost" },
];
