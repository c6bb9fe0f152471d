/** Every error becomes problem details (RFC 9457); what is not expected is logged, and its text stays here. */
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { Logger } from '@plinth/service-kit';
import type { ServerResponse } from '../adapters/web.js';
import { type ProblemBody, problemBody } from '../domain/problem.js';
import { ApiProblem } from './http.js';

@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<ServerResponse>();
    const body = this.bodyOf(error);
    if (response.headersSent) return void response.destroy();
    response.statusCode = body.status;
    response.setHeader('content-type', 'application/problem+json');
    response.end(JSON.stringify(body));
  }

  private bodyOf(error: unknown): ProblemBody {
    if (error instanceof ApiProblem) return error.getResponse() as ProblemBody;
    if (error instanceof HttpException && error.getStatus() < 500)
      return { ...problemBody('invalid-request', error.message), status: error.getStatus() };
    this.logger.error({ err: error }, 'a request failed');
    return problemBody('unavailable', 'the console could not answer; its log has the reason. Try again');
  }
}
