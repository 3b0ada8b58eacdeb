// One row of the list.

import { fullTime, shortId, timing } from "../format.js";
import { jobHref } from "../route.js";
import { Component, html } from "./html.js";
import { Badge, Bar, Pace, progressWords } from "./parts.js";

/** Drawn anew only when its job changed, or the second did. */
export class Row extends Component {
  shouldComponentUpdate(next) {
    const { job, index, now, chosen } = this.props;
    return job !== next.job || index !== next.index || chosen !== next.chosen || Math.floor(now / 1000) !== Math.floor(next.now / 1000);
  }

  render({ job, index, now, chosen, choose }) {
    const { first, second } = timing(job, now);
    const { done, ahead, warnings } = progressWords(job, now);
    const at = job.finished_at ?? job.started_at ?? job.created_at;
    return html`<tr class="row" data-id=${job.id} data-state=${job.state} aria-rowindex=${index + 2} data-chosen=${chosen ? "" : undefined}>
      <td class="cell-select"><input type="checkbox" checked=${chosen} aria-label=${`Select ${job.task} ${shortId(job.id)}`}
        onClick=${(event) => choose(job.id, event.shiftKey)} /></td>
      <td class="cell-job"><div class="row-title"><a class="cover" id=${`row-${job.id}`} href=${jobHref(job.id)}>${job.task}</a>
          ${job.attempt > 1 && html`<span class="chip">attempt ${job.attempt}</span>`}
          ${job.children?.total > 0 && html`<span class="chip">${job.children.ended}/${job.children.total} children</span>`}</div>
        <div class="row-id" title=${[job.id, ...job.tags].join(" · ")}><code>${shortId(job.id)}</code>${job.tags.map((tag) => html`<span class="tag" key=${tag}>${tag}</span>`)}</div></td>
      <td class="cell-state"><${Badge} state=${job.state} /><${Pace} job=${job} /></td>
      <td class="cell-progress"><${Bar} job=${job} />
        <div class="row-words"><span class="cut" title=${done}>${done}</span>${warnings && html`<span class="warned">${warnings}</span>`}<span class="ahead">${ahead}</span></div></td>
      <td class="cell-time"><span class="took">${first}</span><time dateTime=${new Date(at).toISOString()} title=${fullTime(at)}>${second}</time></td>
    </tr>`;
  }
}
