/** The style of the step player: light and dark, wide and narrow. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --raised: #f6f8fa; --line: #d0d7de; --text: #1b1f24; --dim: #57606a;
  --accent: #0550ae; --bad: #a40e26; --mark: #fff3c4; --markline: #9a6700; --selected: #ddf4ff;
  --c0: #0969da; --c1: #9a5700; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #57606a; --c6: #0e7490; --c7: #a40e26;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0d1117; --raised: #161b22; --line: #30363d; --text: #e6edf3; --dim: #9da7b1;
    --accent: #79c0ff; --bad: #ff8f8a; --mark: #3a2f0b; --markline: #e3b341; --selected: #0c2d4d;
    --c0: #58a6ff; --c1: #e3a04a; --c2: #56d364; --c3: #bc8cff; --c4: #f778ba; --c5: #9da7b1; --c6: #39c5d8; --c7: #ff8f8a;
  }
}
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: flex; flex-direction: column; background: var(--ground); color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
code, pre, .access, .cell small, .panel td, .panel th, .stack { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
code { overflow-wrap: anywhere; font-size: 12px; }
.bad { color: var(--bad); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }

header { padding: .5rem 1rem; max-height: 40vh; overflow: auto; flex: none; }
header h1 { font-size: 1.05rem; margin: .1rem 0; overflow-wrap: anywhere; }
header p { margin: .15rem 0; } header pre { margin: .3rem 0; font-size: 12px; white-space: pre-wrap; }
header small, .subject, .summary, .nothing { color: var(--dim); }
.subject { font-weight: 600; } .subject, .summary { display: inline-block; margin-right: .8rem; }

.timeline { display: flex; flex: none; gap: .5rem; padding: 0 1rem; max-height: 26vh; overflow: auto; }
.lanes { display: flex; flex-direction: column; gap: 4px; padding: 4px 0; font-size: 11px; line-height: 14px; color: var(--dim); flex: none; }
.strip { flex: 1; min-width: 0; cursor: pointer; touch-action: none; }
.strip svg { display: block; width: 100%; }
.lane { fill: var(--raised); } .turn { opacity: .8; } .turn.interrupt { opacity: 1; } .cursor { stroke: var(--text); stroke-width: 3px; } .hits rect { fill: var(--markline); } .decisive { fill: var(--bad); }
.turn.cpu0 { fill: var(--c0); } .turn.cpu1 { fill: var(--c1); } .turn.cpu2 { fill: var(--c2); } .turn.cpu3 { fill: var(--c3); }
.turn.cpu4 { fill: var(--c4); } .turn.cpu5 { fill: var(--c5); } .turn.cpu6 { fill: var(--c6); } .turn.cpu7 { fill: var(--c7); }

.controls { display: flex; flex: none; flex-wrap: wrap; align-items: center; gap: .4rem; padding: .4rem 1rem; border-bottom: 1px solid var(--line); }
button, input[type=search] { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--line); border-radius: 6px; padding: .15rem .55rem; }
button { cursor: pointer; } button:hover { border-color: var(--accent); }
.position { min-width: 8.5rem; text-align: center; font-variant-numeric: tabular-nums; }
.controls input[type=search] { width: 14rem; margin-left: 1rem; } .controls .hits { min-width: 4.5rem; color: var(--dim); }

main { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(0, 11fr) minmax(0, 9fr); }
.steps { min-height: 0; min-width: 0; border-right: 1px solid var(--line); overflow: auto; --column: 13rem; position: relative; }
.row { display: grid; grid-template-columns: 3.2rem repeat(var(--cpus), minmax(0, 1fr)); min-width: calc(3.2rem + var(--cpus) * var(--column)); border-bottom: 1px solid var(--line); cursor: pointer; }
.long .row { content-visibility: auto; contain-intrinsic-size: auto 2.6rem; }
.row > span { padding: .15rem .5rem; overflow-wrap: anywhere; min-width: 0; }
.row .start { grid-column: 2 / -1; color: var(--dim); }
.heads { position: sticky; top: 0; z-index: 1; font-weight: 600; background: var(--raised); cursor: default; }
.number { color: var(--dim); text-align: right; font-variant-numeric: tabular-nums; }
.cell { border-left: 3px solid transparent; } .cell small { display: block; color: var(--dim); font-size: 11px; } .access { font-size: 12px; } .word { color: var(--accent); }
.began { display: block; }
.own.cpu0, .head.cpu0 { border-left-color: var(--c0); } .own.cpu1, .head.cpu1 { border-left-color: var(--c1); } .own.cpu2, .head.cpu2 { border-left-color: var(--c2); } .own.cpu3, .head.cpu3 { border-left-color: var(--c3); }
.own.cpu4, .head.cpu4 { border-left-color: var(--c4); } .own.cpu5, .head.cpu5 { border-left-color: var(--c5); } .own.cpu6, .head.cpu6 { border-left-color: var(--c6); } .own.cpu7, .head.cpu7 { border-left-color: var(--c7); }
.head { border-left: 3px solid transparent; }
.row[aria-selected=true] { background: var(--selected); box-shadow: inset 4px 0 var(--accent); }
.row.hit .number { background: var(--mark); color: var(--text); font-weight: 700; }
.list.only .row.private:not([aria-selected=true]) { display: none; }
.ending { cursor: default; font-weight: 600; }

.panels { overflow: auto; padding: .4rem .8rem 2rem; min-width: 0; }
.panel { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: .3rem .6rem; }
.panel h2 { font-size: .95rem; margin: .1rem 0; } .panel p { margin: .2rem 0; }
.panel summary { font-weight: 600; cursor: pointer; } .panel summary::after { content: attr(data-changes); float: right; color: var(--markline); font-weight: 400; font-size: 12px; }
.panel.changes { border-color: var(--markline); }
.stack { font-size: 12px; color: var(--dim); }
.became { margin: .2rem 0; padding: 0; list-style: none; font-size: 12px; } .became li { overflow-wrap: anywhere; } .became li::before { content: '● '; color: var(--markline); }
.panel table { border-collapse: collapse; width: 100%; font-size: 12px; margin: .2rem 0; }
.panel caption { text-align: left; color: var(--dim); font-size: 12px; }
.panel th, .panel td { text-align: left; vertical-align: top; font-weight: 400; padding: .05rem .5rem .05rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.panel tbody th { width: 42%; } .wide { overflow-x: auto; } .panel .wide tbody th { width: auto; white-space: nowrap; } .wide td, .wide th { overflow-wrap: normal; } .panel thead th { color: var(--dim); }
tr.changed > th, tr.changed > td { background: var(--mark); } .wide tr.changed > td:not(.changed) { background: none; }
.when { font-size: 11px; line-height: 1.2; padding: 0 .35rem; margin-left: .4rem; color: var(--dim); }

dialog { border: 1px solid var(--line); border-radius: 8px; background: var(--ground); color: var(--text); }
dialog th { text-align: left; padding-right: 1.5rem; font-weight: 600; white-space: pre; }
dialog caption { font-weight: 600; text-align: left; }
noscript { padding: 1rem; }

@media (max-width: 900px) {
  body { height: auto; min-height: 100%; }
  header { max-height: none; }
  main { grid-template-columns: minmax(0, 1fr); }
  .timeline, .controls { position: sticky; background: var(--ground); z-index: 1; } .timeline { top: 0; } .controls { top: 0; z-index: 2; }
  .steps { --column: 9rem; height: 50vh; border-right: none; border-bottom: 1px solid var(--line); }
  .controls input[type=search] { margin-left: 0; flex: 1; min-width: 8rem; }
}
`
