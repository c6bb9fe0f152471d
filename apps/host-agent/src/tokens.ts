/** Injection tokens of values that are not classes. */
/** Token of the `AgentServices`. */
export const AGENT_SERVICES = Symbol('agent services');
/** Token of `${name} ${version}` of the container runtime. */
export const RUNTIME_NAME = Symbol('name of the container runtime');
