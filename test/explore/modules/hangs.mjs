import { troubled } from './trouble.mjs'

export default troubled('hangs', () => {
  for (;;);
})
