const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** `text` as the text or an attribute in quotes of an HTML element. */
export const escaped = (text: string): string => text.replace(/[&<>"]/g, (char) => ENTITIES[char] as string)
