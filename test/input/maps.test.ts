import { describe, expect, it } from 'vitest'
import { formatVma, parseMaps } from '../../dist/src/input/maps.js'
import { complaint, LOGS, mapsTexts } from './recordings.js'

const VSYSCALL = 'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]'
const PLAIN = '00400000-00401000 r--p 00000000 fe:00 12 /bin/a'

describe('the recorded snapshots', () => {
  it.each(LOGS)('%s: every line parses to what it says', (name) => {
    for (const [file, text] of mapsTexts(name)) {
      const entries = parseMaps(text, file)
      const lines = text.trimEnd().split('\n')
      const written = entries.map((vma) => `${formatVma(vma)} ${vma.dev} ${vma.inode}`)
      expect(written).toEqual(
        lines.map((line) => {
          const [range, perms, offset, dev, inode, path = ''] = line.trim().split(/ +/)
          return `${`${range} ${perms} ${offset} ${path}`.trimEnd()} ${dev} ${inode}`
        }),
      )
    }
  })
})

describe('a line of maps', () => {
  it('has exact signed addresses: the vsyscall page is negative', () => {
    const [vma] = parseMaps(`${VSYSCALL}\n`, 'x')
    expect(vma).toEqual({
      start: -0xa00000,
      end: -0x9ff000,
      perms: '--xp',
      offset: 0,
      dev: '00:00',
      inode: 0,
      path: '[vsyscall]',
      deleted: false,
    })
    expect(BigInt.asUintN(64, BigInt(vma?.start ?? 0))).toBe(0xffffffffff600000n)
  })

  it('may have no path, a path with blanks, or one of a deleted file', () => {
    const line = '7f0000000000-7f0000001000 rw-s 00003000 00:01 77'
    const paths = ['', '     /tmp/a b', '   /dev/zero (deleted)', ' ']
    const entries = paths.map((path) => parseMaps(`${line}${path}\n`, 'x')[0])
    expect(entries.map((vma) => [vma?.path, vma?.deleted])).toEqual([
      ['', false],
      ['/tmp/a b', false],
      ['/dev/zero', true],
      ['', false],
    ])
    expect(entries[0]).toMatchObject({ perms: 'rw-s', offset: 0x3000, dev: '00:01', inode: 77 })
  })
})

describe('a file that is not maps', () => {
  it.each([
    ['empty', '', 1, 'the file is empty'],
    ['foreign', `${PLAIN}\nhello\n`, 2, 'not a maps line: "hello"'],
    ['cut', `${PLAIN}\n${VSYSCALL.slice(0, 30)}`, 2, 'the file ends in the middle of a line'],
    ['cut inside of a path', PLAIN, 1, 'the file ends in the middle of a line'],
    ['out of order', `${PLAIN}\n${PLAIN}\n`, 2, 'begins below the end of the line before'],
    ['upside down', '00002000-00001000 r--p 00000000 fe:00 12\n', 1, '00002000-00001000 is empty'],
  ])('%s: line and reason', (_, text, line, reason) => {
    const message = complaint(() => parseMaps(text, '7.0.maps'))
    expect(message).toContain(`7.0.maps: line ${line}: ${reason}`)
    expect(message.split('\n')).toHaveLength(3) // what, rule, remedy
  })
})
