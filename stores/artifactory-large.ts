/**
 * Deploys an object of any size to a repository of Artifactory: one request whose length nobody knows when it begins.
 *
 * The one idea: the server keeps nothing of a request that does not end, and tells the SHA-256 of what it kept, which is held against that of what was sent; so an
 * archive is there whole or not at all, and needs no file on the hub's disk.
 */
import { createHash } from "node:crypto";
import { FaultError } from "../domain/errors.ts";
import { artifactoryPlace, asked, pathOf, refusal, textOf, type ArtifactoryOptions, type ArtifactoryPlace } from "./artifactory-client.ts";
import { storeCorrupt } from "./faults.ts";

/** After the last byte the server may bring all of them to a store of its own before it answers. */
const silentMs = 10 * 60_000;

export async function deployLarge(options: ArtifactoryOptions, key: string, parts: AsyncIterable<Uint8Array>, signal: AbortSignal) {
  const place = artifactoryPlace(options, silentMs);
  try {
    await deploy(place, key, parts, signal);
  } finally {
    place.http.close();
  }
}

async function deploy(place: ArtifactoryPlace, key: string, parts: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  const hash = createHash("sha256");
  async function* hashed() {
    for await (const part of parts) {
      hash.update(part);
      yield part;
    }
  }
  const path = pathOf(place, key);
  const headers = { "content-type": "application/octet-stream" };
  const answer = await asked(place, { key, method: "PUT", path, headers, body: hashed(), signal });
  const { statusCode: status } = answer;
  if (status === 411 || status === 501) {
    const message = `The server before the repository "${place.repo}" takes no request of unknown length (${status}): let chunked uploads pass there.`;
    throw new FaultError({ code: "store_invalid", message, subject: place.repo });
  }
  if (status === 404)
    throw new FaultError({ code: "store_invalid", message: `The store has no repository "${place.repo}".`, subject: place.repo });
  if (status !== 201 && status !== 200) throw await refusal(key, answer);
  const kept = /"sha256"\s*:\s*"([0-9a-f]{64})"/.exec(await textOf(key, answer))?.[1];
  if (kept === undefined || kept === hash.digest("hex")) return;
  await asked(place, { key, method: "DELETE", path }).then((gone) => gone.resume());
  throw storeCorrupt(key, "was kept with another SHA-256 than it was sent with");
}
