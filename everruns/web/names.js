// Organization of the key, and the names of its agents and harnesses.

import { get } from "./api.js";
import { canonicalId } from "./format.js";

const LIMIT = 1000; // per request, the most that the API takes

export class Names {
  constructor() {
    this.clear();
  }

  clear() {
    this.organization = null;
    this.agents = new Map(); // by canonical id, as the API lists them: by name
    this.harnesses = new Map();
    this.loading = null;
    this.isLoaded = false;
    this.missing = new Set(); // ids of agents that the API does not list
  }

  /** Request all names, unless they are being requested already. Without a response the previous names stay. */
  load(key) {
    const { agents } = this; // of this key: `clear` replaces them
    this.loading ??= this.request(key, () => this.agents === agents).finally(() => (this.loading = null));
    return this.loading;
  }

  async request(key, isCurrent) {
    const [organization, agents, harnesses] = await Promise.all([
      get("v1/organization", key),
      listAll("v1/agents?include=session_counts&include_archived=true", key),
      listAll("v1/harnesses?include_archived=true", key),
    ]);
    if (!isCurrent()) return;
    this.organization = organization.body;
    this.agents = agents;
    this.harnesses = harnesses;
    this.isLoaded = true;
  }

  /** Return whether all agents of these sessions are known, or were missing before. */
  hasAgents(sessions) {
    const unknown = sessions.map((session) => canonicalId(session.agent_id ?? "")).filter((id) => id && !this.agents.has(id) && !this.missing.has(id));
    for (const id of unknown) this.missing.add(id);
    return !unknown.length;
  }

  /** Return the name to show for an agent, or undefined. */
  agent(id) {
    return displayName(this.agents.get(canonicalId(id)));
  }

  /** Return the name to show for a harness, or undefined. */
  harness(id) {
    return displayName(this.harnesses.get(canonicalId(id)));
  }
}

/** Return the name to show for an agent or harness, or undefined. */
export const displayName = (record) => record?.display_name?.trim() || record?.name;

/** Return the records of all pages of a list. */
async function listAll(url, key) {
  const records = new Map();
  for (let offset = 0, total = 1; offset < total; offset += LIMIT) {
    const { body } = await get(`${url}&offset=${offset}&limit=${LIMIT}`, key);
    for (const record of body.data) records.set(canonicalId(record.id), record);
    total = body.total;
  }
  return records;
}
