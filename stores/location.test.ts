/** A location reads back as it was written, and refuses what it must not carry. */
import { describe, expect, it } from "vitest";
import { unwrap } from "../domain/errors.ts";
import { formatStoreLocation, parseStoreLocation } from "./location.ts";

describe("store location", () => {
  it.each([
    "folder:/var/lib/drover/store",
    "s3://images/team/a/?region=eu-west-1",
    "s3://images/?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A9000",
  ])("reads %s back as it was written", (text) => {
    const location = unwrap(parseStoreLocation(text));
    expect(formatStoreLocation(location)).toBe(text);
  });

  it("takes a prefix with or without its last slash", () => {
    expect(parseStoreLocation("s3://images/team")).toEqual(parseStoreLocation("s3://images/team/"));
  });

  it.each([
    "folder:relative/path",
    "s3://key:secret@images/",
    "s3://images/?secretAccessKey=abc",
    "s3://im/",
    "ftp://images",
    "nonsense",
    "s3://images/?endpoint=ftp://x",
    "s3://images/?endpoint=http://user:pass@x/",
    "s3://images/a b/",
  ])("refuses %s", (text) => {
    const refused = parseStoreLocation(text);
    expect(refused).toMatchObject({ ok: false, fault: { code: "store_invalid" } });
    expect(JSON.stringify(refused)).not.toContain("secret@");
  });
});
