import { once, troubled } from './trouble.mjs'

export default troubled('exits', () => {
  if (once()) process.exit(7)
})
