/** The look of the report: one calm column, figures that line up, both themes, print and phone. */
import { themeCss } from './palette.ts';

export const CSS = `${themeCss()}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:900px;margin:0 auto;padding:56px 24px 96px}
h1{font-size:2.1rem;line-height:1.15;font-weight:650;letter-spacing:-.015em;margin:0 0 .35em}
h2{font-size:1.4rem;line-height:1.25;font-weight:620;letter-spacing:-.01em;margin:3.2em 0 .5em;padding-top:1.1em;border-top:1px solid var(--rule)}
h3{font-size:1.02rem;font-weight:620;margin:2em 0 .4em}
p{margin:.6em 0;max-width:72ch}
a{color:var(--link)}
code,.mono{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.kicker{color:var(--soft);font-size:.92rem;margin:0 0 .8em}
.lede{font-size:1.14rem;line-height:1.55;color:var(--ink);max-width:64ch}
.soft,.note{color:var(--soft)}
.note{font-size:.9rem}
.warn{border-left:3px solid var(--warn);padding:.1em 0 .1em .9em;margin:1em 0;font-size:.95rem}
nav{margin:1.6em 0 0;font-size:.92rem;display:flex;flex-wrap:wrap;gap:.2em 1.3em}
nav a{text-decoration:none}
nav a:hover,nav a:focus{text-decoration:underline}
.headlines{list-style:none;margin:2em 0 0;padding:0}
.headlines li{padding:.75em 0;border-top:1px solid var(--rule);display:grid;grid-template-columns:minmax(15em,1fr) 2fr;gap:.1em 1.4em}
.headlines li:last-child{border-bottom:1px solid var(--rule)}
.headlines .what{font-weight:600;white-space:nowrap}.headlines .what .soft{font-weight:400}
.headlines .says{font-variant-numeric:tabular-nums}
.answers{margin:2.2em 0 0}
.answers h3{margin:1.5em 0 .2em}
.answers ul{margin:.2em 0;padding:0 0 0 1.1em}
.answers li{margin:.25em 0;max-width:76ch;font-variant-numeric:tabular-nums}
figure{margin:1.6em 0 .6em}
figcaption{font-weight:600;font-size:.95rem;margin-bottom:.7em}
figure svg{display:block;max-width:100%;height:auto}
.narrow{display:none}
.scroll{overflow-x:auto;margin:1em 0}
.scroll:focus-visible{outline:2px solid var(--link);outline-offset:3px}
table{border-collapse:collapse;font-size:.9rem;line-height:1.4;font-variant-numeric:tabular-nums;min-width:100%}
caption{caption-side:top;max-width:72ch;white-space:normal;text-align:left;color:var(--soft);font-size:.86rem;padding:0 0 .5em}
th,td{padding:.42em .8em;border-bottom:1px solid var(--rule);vertical-align:baseline;white-space:nowrap}
thead th{font-weight:500;color:var(--soft);font-size:.84rem;vertical-align:bottom;white-space:normal;line-height:1.3;max-width:9.5em;min-width:4.6em}
thead th:has(.swatch){white-space:nowrap;max-width:none}
tbody th{font-weight:500}
tr>:first-child{padding-left:0}
tr>:last-child{padding-right:0}
.n{text-align:right}.w{text-align:left}
td .ci{display:block;color:var(--soft);font-size:.8rem}
.swatch{display:inline-block;width:.72em;height:.72em;border-radius:2px;margin-right:.5em}
.flag{color:var(--warn);font-size:.8rem;margin-left:.35em}
.story{margin:1.6em 0 2.4em;break-inside:avoid-page}
.story h3{margin-bottom:.1em}
.story .key{color:var(--soft);font-size:.86rem;margin:0 0 .7em}
blockquote{margin:.6em 0;padding:.1em 0 .1em 1em;border-left:3px solid var(--rule);color:var(--soft);white-space:pre-wrap;overflow-wrap:anywhere;max-height:9.6em;overflow:auto;font-size:.93rem}
.both{display:grid;grid-template-columns:1fr 1fr;gap:14px;align-items:start}
.answer{background:var(--panel);border-radius:6px;padding:.8em 1em;min-width:0}
.answer h4{margin:0 0 .5em;font-size:.86rem;font-weight:600;display:flex;justify-content:space-between;gap:1em;flex-wrap:wrap}
.answer h4 span{font-weight:400;color:var(--soft)}
.answer .text{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.89rem;line-height:1.5;max-height:22em;overflow:auto}
.answer .common{color:var(--soft)}
.answer mark{background:var(--differ);color:inherit}
dl{margin:.6em 0;font-size:.9rem}
dl div{display:grid;grid-template-columns:11em 1fr;gap:1em;padding:.28em 0;border-bottom:1px solid var(--rule)}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere;min-width:0}
details{margin:.8em 0}
summary{cursor:pointer;color:var(--link);font-size:.93rem}
pre{background:var(--panel);border-radius:6px;padding:1em;overflow:auto;font:.82rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
ul.limits{padding-left:1.1em}
ul.limits li{margin:.35em 0;max-width:76ch}
footer{margin-top:4em;color:var(--soft);font-size:.86rem}
@media (max-width:720px){
main{padding:32px 16px 64px}
h1{font-size:1.7rem}
.wide{display:none}.narrow{display:block}
.headlines li{grid-template-columns:1fr}
.both{grid-template-columns:1fr}
dl div{grid-template-columns:1fr;gap:0}
}
@media print{
body{font-size:10.5pt}
main{max-width:none;padding:0}
nav,summary{display:none}
.wide{display:block}.narrow{display:none}
.answer .text,blockquote{max-height:none;overflow:visible}
.scroll{overflow:visible}
h2{break-after:avoid}
figure,table{break-inside:avoid}
}`;
