/**
 * FNV-1a over the characters of `text`, which are ASCII: 32 bits, signed. For telling texts apart, not for security.
 */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}
