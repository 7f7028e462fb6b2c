import { once, troubled } from './trouble.mjs'

export default troubled('hoards', () => {
  const hoard = []
  if (once()) for (;;) hoard.push(new Array(100_000).fill(hoard.length))
})
