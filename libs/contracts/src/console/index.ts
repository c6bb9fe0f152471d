export * from './answers/index.js';
export * from './requests.js';
export * from './api.js';
export { openApiDocument } from './openapi.js';
