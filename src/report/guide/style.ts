/** The look of the guide's pages: one column on a phone, the list of pages beside it where there is room. */
export const STYLE = `
  :root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --dim: #57606a; --line: #d0d7de; --box: #f6f8fa; --link: #0550ae; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6edf3; --paper: #0d1117; --dim: #8d96a0; --line: #30363d; --box: #161b22; --link: #79b8ff; }
  }
  * { box-sizing: border-box; }
  body { margin: 0 auto; max-width: 78rem; padding: 0 1rem 2rem; color: var(--ink); background: var(--paper);
    font: 16px/1.55 system-ui, sans-serif; }
  a { color: var(--link); }
  header { padding: .8rem 0; border-bottom: 1px solid var(--line); }
  header a:first-child { color: var(--ink); font-weight: 600; text-decoration: none; margin-right: 1rem; }
  h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; }
  code { font: .87em/1.45 ui-monospace, monospace; background: var(--box); padding: .1em .25em; border-radius: 3px;
    overflow-wrap: anywhere; }
  pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: .7rem; overflow-x: auto; }
  pre code { background: none; padding: 0; overflow-wrap: normal; font-size: .8rem; }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; font-size: .92em; }
  th, td { border: 1px solid var(--line); padding: .3rem .55rem; text-align: left; vertical-align: top; }
  td code { overflow-wrap: normal; }
  nav ul { list-style: none; padding: 0; } nav li { margin: .45rem 0; line-height: 1.3; }
  nav { border-top: 1px solid var(--line); margin-top: 2rem; font-size: .92em; }
  nav a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
  footer { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .5rem 2rem; margin-top: 2.5rem; font-size: .92em; }
  main { min-width: 0; }
  @media (min-width: 62rem) {
    body { display: grid; grid-template-columns: 16rem minmax(0, 1fr); column-gap: 2.5rem; }
    header { grid-column: 1 / -1; } .jump { display: none; }
    nav { grid-column: 1; grid-row: 2; border-top: 0; margin-top: 1rem; } main { grid-column: 2; grid-row: 2; }
  }`
