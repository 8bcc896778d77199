/** The look of the report: one calm column, figures that line up, both themes, print and phone. */
import { themeCss } from './palette.ts';

const PAGE = `*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
[hidden]{display:none!important}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;overflow-wrap:break-word}
.page{max-width:900px;margin:0 auto;padding:56px 24px 96px}
h1{font-size:2.1rem;line-height:1.15;font-weight:650;letter-spacing:-.015em;margin:0 0 .35em}
h2{font-size:1.4rem;line-height:1.25;font-weight:620;letter-spacing:-.01em;margin:3.2em 0 .5em;padding-top:1.1em;border-top:1px solid var(--rule)}
h3{font-size:1.02rem;font-weight:620;margin:2em 0 .4em}
p{margin:.6em 0;max-width:72ch}
a{color:var(--link)}
:focus-visible{outline:2px solid var(--link);outline-offset:3px;border-radius:2px}
main:focus{outline:none}
code,.mono{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.skip{position:absolute;left:-9999px;top:0;background:var(--paper);padding:.6em 1em;z-index:2}
.skip:focus{left:8px;top:8px}
.kicker{color:var(--soft);font-size:.92rem;margin:0 0 .8em}
.lede{font-size:1.14rem;line-height:1.55;max-width:64ch}
.soft,.note,.hints{color:var(--soft)}
.note{font-size:.9rem}
.hints{font-size:.8rem;line-height:1.45;margin:.2em 0 1.6em}
.hints b{font-weight:600}
.warn{border-left:3px solid var(--warn);padding:.1em 0 .1em .9em;margin:1em 0;font-size:.95rem}
nav{margin:1.6em 0 0;font-size:.92rem}
nav ul{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:.2em 1.3em}
nav a{display:inline-block;padding:.15em 0}
ul.facts,ul.limits{padding-left:1.1em;margin:.6em 0}
ul.facts li,ul.limits li{margin:.35em 0;max-width:76ch;font-variant-numeric:tabular-nums}
footer{margin-top:4em;color:var(--soft);font-size:.86rem}`;

const SUMMARY = `.headlines{list-style:none;margin:2em 0 0;padding:0}
.headlines li{padding:.75em 0;border-top:1px solid var(--rule);display:grid;grid-template-columns:minmax(15em,1fr) 2fr;gap:.1em 1.4em}
.headlines li:last-child{border-bottom:1px solid var(--rule)}
.headlines .what{font-weight:600}.headlines .what .soft{font-weight:400}
.headlines .says{font-variant-numeric:tabular-nums}
.answers{margin:2.2em 0 0}
.answers h2{font-size:1.02rem;border:0;padding:0;margin:1.5em 0 .2em;letter-spacing:0}
.answers ul{margin:.2em 0;padding:0 0 0 1.1em}
.answers li{margin:.25em 0;max-width:76ch;font-variant-numeric:tabular-nums}`;

const FIGURES = `figure{margin:1.6em 0 1.2em}
figcaption{font-weight:600;font-size:.95rem;margin-bottom:.7em;max-width:72ch}
figure svg{display:block;max-width:100%;height:auto}
figure details{margin:.4em 0 0}
.narrow{display:none}
.label{white-space:nowrap}
.swatch{display:inline-block;width:.75em;height:.75em;margin-right:.45em;vertical-align:-.04em}
.flag{color:var(--warn);font-size:.8rem;margin-left:.5em}`;

const TABLES = `.scroll{overflow-x:auto;margin:1em 0 .4em;max-width:100%}
table{border-collapse:collapse;font-size:.9rem;line-height:1.4;font-variant-numeric:tabular-nums;min-width:100%}
caption{caption-side:top;max-width:72ch;white-space:normal;text-align:left;color:var(--soft);font-size:.86rem;padding:0 0 .5em}
th,td{padding:.42em .8em;border-bottom:1px solid var(--rule);vertical-align:baseline;white-space:nowrap}
thead th{font-weight:500;color:var(--soft);font-size:.84rem;vertical-align:bottom;white-space:normal;line-height:1.3;max-width:9.5em;min-width:4.6em}
thead th:has(.swatch){white-space:nowrap;max-width:none}
tbody th{font-weight:500}
tr>:first-child{padding-left:0}
tr>:last-child{padding-right:2px}
.n{text-align:right}.w{text-align:left}
td .ci{display:block;color:var(--soft);font-size:.8rem}
button,select,input{font:inherit;color:inherit}
.sort{background:none;border:0;padding:0;margin:0;text-align:inherit;color:inherit;cursor:pointer;min-height:24px}
.sort:hover{text-decoration:underline}
th[aria-sort=ascending] .sort::after{content:" \\2191"}
th[aria-sort=descending] .sort::after{content:" \\2193"}
.bar{display:flex;flex-wrap:wrap;gap:.4em .6em;align-items:center;font-size:.9rem;margin:1.2em 0 .4em}
.bar button,#tools button,.bar select{background:var(--panel);border:1px solid var(--soft);border-radius:5px;padding:.2em .7em;cursor:pointer;min-height:28px}
.bar button[aria-pressed=true]{background:var(--ink);color:var(--paper);border-color:var(--ink)}
.choices.on>details>summary{display:none}
#tools{font-size:.9rem;margin-top:1.2em}
#tools fieldset{border:1px solid var(--rule);border-radius:6px;margin:.4em 0;padding:.4em .9em .7em;display:flex;flex-wrap:wrap;gap:.3em 1.2em;min-width:0}
#tools label{display:inline-flex;gap:.35em;align-items:center;min-height:28px}`;

const STORIES = `.story{margin:1.6em 0 2.4em;break-inside:avoid-page}
.story h3,.story>h4{margin-bottom:.1em;font-size:1.02rem;font-weight:620}
.story .key{color:var(--soft);font-size:.86rem;margin:0 0 .7em;overflow-wrap:anywhere}
.story .reference{font-size:.93rem;overflow-wrap:anywhere}
blockquote{margin:.6em 0;padding:.1em 0 .1em 1em;border-left:3px solid var(--rule);color:var(--soft);white-space:pre-wrap;overflow-wrap:anywhere;max-height:9.6em;overflow:auto;font-size:.93rem}
.both{display:grid;grid-template-columns:1fr 1fr;gap:14px;align-items:start}
.answer{background:var(--panel);border-radius:6px;padding:.8em 1em;min-width:0}
.answer :is(h4,h5){margin:0 0 .5em;font-size:.86rem;font-weight:600;display:flex;justify-content:space-between;gap:1em;flex-wrap:wrap}
.answer :is(h4,h5) span{font-weight:400;color:var(--soft)}
.answer .text{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.89rem;line-height:1.5;max-height:22em;overflow:auto}
.answer .common{color:var(--soft)}
.answer mark{background:var(--differ);color:inherit}
dl{margin:.6em 0;font-size:.9rem}
dl div{display:grid;grid-template-columns:11em 1fr;gap:1em;padding:.28em 0;border-bottom:1px solid var(--rule)}
dt{color:var(--soft);overflow-wrap:anywhere;min-width:0}
dd{margin:0;overflow-wrap:anywhere;min-width:0}
details{margin:.8em 0}
summary{cursor:pointer;color:var(--link);font-size:.93rem;padding:.15em 0}
pre{background:var(--panel);border-radius:6px;padding:1em;overflow:auto;font:.82rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}`;

const PHONE = `@media (max-width:720px){
.page{padding:32px 16px 64px}
h1{font-size:1.7rem}
.wide{display:none}.narrow{display:block}
.headlines li{grid-template-columns:1fr}
.both{grid-template-columns:1fr}
caption{max-width:calc(100vw - 32px)}
dl div{grid-template-columns:1fr;gap:0}
}`;

/** Everything is open on paper, nothing scrolls, nothing is dark; what only a screen can do is left out. */
const PRINT = `@media print{
body{font-size:10.5pt}
.page{max-width:none;padding:0}
nav,.bar,#tools,.skip,details>summary{display:none}
details.part>summary{display:block;list-style:none;font-weight:600;break-after:avoid}
details::details-content{content-visibility:visible;block-size:auto}
.choices>[hidden],details[hidden]{display:block!important}
.wide{display:block}.narrow{display:none}
.answer .text,blockquote,pre{max-height:none;overflow:visible}
.scroll{overflow:visible}
table{font-size:8pt}
th,td{padding:.3em .5em}
h2,h3,h4,caption,figcaption{break-after:avoid}
figure svg,tr{break-inside:avoid}
}`;

export const CSS = [themeCss(), PAGE, SUMMARY, FIGURES, TABLES, STORIES, PHONE, PRINT].join('\n');
