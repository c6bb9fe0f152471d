/** Injection tokens of what is no class. */
/** Of the `AgentServices`. */
export const AGENT_SERVICES = Symbol('what the agent works with');
/** Of `${name} ${version}` of the container runtime. */
export const RUNTIME_NAME = Symbol('name of the container runtime');
