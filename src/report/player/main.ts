/** The start of the page: its data, and the player over it. */
import type { PageData } from './data.js'
import { Player } from './player.js'

const text = document.getElementById('data')?.textContent ?? ''
new Player(JSON.parse(text) as PageData, document.body)
