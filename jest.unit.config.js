// Unit specs alone: pure code, so they share a process, which halves what they compute.
import all from './jest.config.js';

const { workerIdleMemoryLimit: _, projects, ...rest } = all;

export default { ...rest, projects: projects.filter(({ displayName }) => displayName === 'unit') };
