import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeAwsChunked } from "../../demo/store/aws-chunked.ts";
import { parseTarget } from "../../demo/store/request-target.ts";
import { credentialScope, sign } from "../../demo/store/sigv4.ts";
import { send, verdict } from "./reply.ts";
import { BUCKET, TemporaryStore } from "./temporary-store.ts";

function encode(chunks: readonly Uint8Array[], trailers: string): Buffer {
  const framed = chunks.flatMap((chunk) => [`${chunk.length.toString(16)}\r\n`, chunk, "\r\n"]);
  return Buffer.concat([...framed, `0\r\n${trailers}\r\n`].map((piece) => Buffer.from(piece)));
}

async function decode(pieces: readonly Buffer[], minChunkBytes = 0) {
  const trailers = new Map<string, string>();
  const decoded: Buffer[] = [];
  const source = (async function* () {
    yield* pieces;
  })();
  for await (const chunk of decodeAwsChunked(source, trailers, minChunkBytes))
    decoded.push(Buffer.from(chunk));
  return { bytes: Buffer.concat(decoded), trailers };
}

describe("decoding aws-chunked", () => {
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 });

  it("gives the bytes back, however the network cuts them", async () => {
    await fc.assert(
      fc.asyncProperty(chunks, fc.array(fc.nat(300), { maxLength: 8 }), async (sent, cuts) => {
        const wire = encode(sent, "x-amz-checksum-crc32:abc=\r\nX-Other: two \r\n");
        const ends = [...cuts.filter((cut) => cut < wire.length), wire.length].sort((a, b) => a - b);
        const pieces = ends.map((end, index) => wire.subarray(ends[index - 1] ?? 0, end));
        const { bytes, trailers } = await decode(pieces);
        expect(bytes.equals(Buffer.concat(sent))).toBe(true);
        expect([...trailers]).toEqual([
          ["x-amz-checksum-crc32", "abc="],
          ["x-other", "two"],
        ]);
      }),
    );
  });

  it("takes no body for whole that stops early", async () => {
    await fc.assert(
      fc.asyncProperty(chunks, fc.nat(), async (sent, cut) => {
        const wire = encode(sent, "");
        await expect(decode([wire.subarray(0, cut % wire.length)])).rejects.toMatchObject({
          code: "IncompleteBody",
        });
      }),
    );
  });

  it("takes no small chunk but the last", async () => {
    await fc.assert(
      fc.asyncProperty(chunks, async (sent) => {
        const decoded = decode([encode(sent, "")], 20);
        if (sent.slice(0, -1).every(({ length }) => length >= 20))
          expect((await decoded).bytes.equals(Buffer.concat(sent))).toBe(true);
        else await expect(decoded).rejects.toMatchObject({ code: "InvalidChunkSizeError", status: 403 });
      }),
    );
  });

  it.each(["zz\r\nab\r\n0\r\n\r\n", "2\r\nabc\r\n0\r\n\r\n", "-1\r\n\r\n", "\r\n", `1;${"x".repeat(9000)}`])(
    "refuses %j",
    async (wire) => {
      await expect(decode([Buffer.from(wire)])).rejects.toMatchObject({ code: "IncompleteBody" });
    },
  );
});

describe("an aws-chunked request", () => {
  const BODY = Buffer.from("in several chunks ".repeat(1_000));
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(BODY));

  async function put(subject: TemporaryStore, wire: Buffer, decodedLength: number): Promise<string> {
    const { url, region, accessKeyId, secretAccessKey } = subject.store;
    const timestamp = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
    const payloadHash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    const headers: Record<string, string> = {
      host: new URL(url).host,
      "content-encoding": "aws-chunked",
      "content-length": String(wire.length),
      "x-amz-content-sha256": payloadHash,
      "x-amz-date": timestamp,
      "x-amz-decoded-content-length": String(decodedLength),
      "x-amz-trailer": "x-amz-checksum-crc32",
    };
    const signedHeaders = Object.keys(headers);
    const target = parseTarget(`/${BUCKET}/chunked`);
    const { signature } = sign(
      { method: "PUT", target, headers, signedHeaders, payloadHash, timestamp, region },
      secretAccessKey,
    );
    const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${credentialScope(timestamp, region)},SignedHeaders=${signedHeaders.join(";")},Signature=${signature}`;
    const reply = await send(`${url}/${BUCKET}/chunked`, {
      method: "PUT",
      headers: { ...headers, authorization },
      body: wire,
    });
    return reply.status === 200 ? String(reply.headers.etag) : verdict(reply);
  }

  it("is stored only if length and trailing checksum are right", async () => {
    const subject = await TemporaryStore.start();
    const chunks = [BODY.subarray(0, 8_192), BODY.subarray(8_192)];
    const right = encode(chunks, `x-amz-checksum-crc32:${checksum.toString("base64")}\r\n`);
    const wrong = encode(chunks, "x-amz-checksum-crc32:AAAAAA==\r\n");
    const malformed = encode(chunks, "x-amz-checksum-crc32:AAAAAAA=\r\n");
    const small = encode([BODY.subarray(0, 8_191), BODY.subarray(8_191)], "");
    expect(await put(subject, wrong, BODY.length)).toBe("400 BadDigest");
    expect(await put(subject, malformed, BODY.length)).toBe("400 InvalidRequest");
    expect(await put(subject, encode(chunks, ""), BODY.length)).toBe("400 MalformedTrailerError");
    expect(await put(subject, small, BODY.length)).toBe("403 InvalidChunkSizeError");
    expect(await put(subject, right, BODY.length - 1)).toBe("400 IncompleteBody");
    expect(await put(subject, right, BODY.length + 1)).toBe("400 IncompleteBody");
    expect(await put(subject, right.subarray(0, -2), BODY.length)).toBe("400 IncompleteBody");
    expect(await subject.files("tmp")).toEqual([]);
    expect(await subject.files("blobs")).toEqual([]);
    expect(await put(subject, right, BODY.length)).toBe(`"${createHash("md5").update(BODY).digest("hex")}"`);
  });
});
