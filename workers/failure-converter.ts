/**
 * How failures travel: message and stack trace encoded like every payload, so that the server never holds them in clear.
 *
 * A worker loads this file by its path, into the workflow bundle too; hence it imports nothing of ours.
 */
import { DefaultFailureConverter } from "@temporalio/common";

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
