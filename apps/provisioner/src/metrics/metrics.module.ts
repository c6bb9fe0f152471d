import { Module } from '@nestjs/common';
import { BusMetrics } from './bus-metrics.js';
import { FactMetrics } from './fact-metrics.js';
import { StateMetrics } from './state-metrics.js';

@Module({ providers: [FactMetrics, StateMetrics, BusMetrics] })
export class MetricsModule {}
