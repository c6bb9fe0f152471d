export * from './answers.js';
export * from './requests.js';
export * from './api.js';
export { openApiDocument } from './openapi.js';
