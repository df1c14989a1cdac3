/**
 * Addresses of identity providers. Pure.
 *
 * The one idea: keys that came over a network in clear prove nothing, so only this computer itself may speak plain http.
 */
const loopback = /^(127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/;

export const isLoopback = (address: string): boolean => loopback.test(URL.parse(address)?.hostname ?? "");

export function isSafeAddress(address: string): boolean {
  const url = URL.parse(address);
  return url !== null && url.username === "" && (url.protocol === "https:" || (url.protocol === "http:" && isLoopback(address)));
}

export const isSafeIssuer = (address: string): boolean => isSafeAddress(address) && !/[?#]/.test(address);
